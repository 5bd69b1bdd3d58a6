"""Which surroundings count as hard, and which are kept."""
import numpy as np
import pytest

from builtin import mining


def picture(value: int) -> np.ndarray:
    return np.full((8, 8, 3), value, "u1")


def test_the_hardest_are_kept_and_the_known_are_dropped():
    shares = [0.3, mining.WORTH_KEEPING / 2, 0.9, 0.1, mining.WORTH_KEEPING]
    kept, left = mining.hardest([picture(index) for index in range(5)], shares, most=3)
    assert [int(entry[0, 0, 0]) for entry in kept] == [2, 0, 3] and left == [0.9, 0.3, 0.1]


def test_no_more_is_kept_than_is_hard():
    kept, left = mining.hardest([picture(0), picture(1)], [0.0, 0.5], most=10)
    assert len(kept) == 1 and left == [0.5]


def test_hardness_is_the_share_taken_for_people():
    """The network is given BGR; this one takes what is red for people."""
    view = np.zeros((320, 320, 3), "u1")
    view[:, :80, 0] = 255  # red, in RGB
    view[:, 200:, 2] = 255
    assert mining.hardness(view, lambda batch: batch[:, 2:3]) == pytest.approx(0.25, abs=0.01)
