"""Compositing must be exact, or the network learns wrong alphas."""
import numpy as np
import pytest

from builtin import compose

STILL = dict(shade_x=np.float32(0), shade_y=np.float32(0))


def soft_person(side: int = 24) -> np.ndarray:
    """A premultiplied disc of one colour with a soft edge, (side, side, 4) uint8."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    alpha = np.clip(1.5 - np.hypot(x, y) / (side / 3), 0, 1)
    return (np.dstack([alpha * 0.8, alpha * 0.4, alpha * 0.2, alpha]) * 255 + 0.5).astype("u1")


def test_laying_over_is_the_matting_equation():
    person = soft_person()
    picture = np.full((24, 24, 3), 0.6, "f4")
    alpha = np.zeros((24, 24), "f4")
    compose.lay_over(picture, alpha, person, 0, 0, np.eye(3, dtype="f4"), **STILL)
    expected = 0.6 * (1 - person[..., 3:] / 255) + person[..., :3] / 255
    assert np.allclose(picture, expected, atol=1e-5)
    assert np.allclose(alpha, person[..., 3] / 255, atol=1e-6)


def test_recolouring_commutes_with_alpha():
    """Recolouring before and after premultiplying must agree, or soft edges would shine."""
    matrix = compose.recolouring(np.array([0.7, 0.9, 0.5]), 0.6)
    colour = np.array([0.8, 0.4, 0.2], "f4")
    for cover in (0.1, 0.5, 1.0):
        person = np.array([[[*(colour * cover * 255).round(), round(cover * 255)]]], "u1")
        picture, alpha = np.zeros((1, 1, 3), "f4"), np.zeros((1, 1), "f4")
        compose.lay_over(picture, alpha, person, 0, 0, matrix, **STILL)
        assert np.allclose(picture[0, 0], matrix @ colour * cover, atol=4e-3)


def test_two_people_cover_as_one_after_the_other():
    person = np.full((1, 1, 4), 128, "u1")
    picture, alpha = np.zeros((1, 1, 3), "f4"), np.zeros((1, 1), "f4")
    for _ in range(2):
        compose.lay_over(picture, alpha, person, 0, 0, np.eye(3, dtype="f4"), **STILL)
    assert alpha[0, 0] == pytest.approx(1 - (1 - 128 / 255) ** 2, abs=1e-6)


def test_what_lies_outside_the_frame_is_left_out():
    picture, alpha = np.zeros((8, 8, 3), "f4"), np.zeros((8, 8), "f4")
    compose.lay_over(picture, alpha, soft_person(), -20, 30, np.eye(3, dtype="f4"), **STILL)
    assert not alpha.any()


@pytest.mark.parametrize("flip", [False, True])
def test_a_cut_body_stays_on_the_frames_edge(flip):
    crop = np.full((40, 20, 4), 255, "u1")  # touches the bottom and the left of its render
    placed = compose.place(crop, 60, 0, (100, 100), (64, 96), (0.5, 0.5), (-10.0, 12.0), flip)
    assert placed.top + placed.pixels.shape[0] >= 64
    assert (placed.left + placed.pixels.shape[1] >= 96) if flip else placed.left <= 0


def test_an_uncut_body_goes_where_it_is_put():
    crop = np.full((20, 20, 4), 255, "u1")
    placed = compose.place(crop, 40, 40, (100, 100), (100, 100), (1.0, 1.0), (5.0, -7.0), False)
    assert (placed.top, placed.left, placed.pixels.shape[:2]) == (45, 33, (20, 20))


def test_blurring_keeps_what_is_covered():
    placed = compose.Placed(soft_person(), 3, 4)
    for spread in (compose.blurred(placed, 2.0), compose.blurred(placed, 0.0, compose.streak(7.0, 0.4))):
        before, after = placed.pixels.sum(dtype=float), spread.pixels.sum(dtype=float)
        assert after == pytest.approx(before, rel=0.02)


def test_streaks_sum_to_one():
    for length in (1.0, 3.5, 14.0):
        for angle in np.linspace(0, np.pi, 7):
            assert compose.streak(length, angle).sum() == pytest.approx(1, abs=1e-5)


def test_padding_puts_the_smaller_half_on_the_top_and_left():
    photo, mask = np.arange(2 * 5 * 3, dtype="u1").reshape(2, 5, 3), np.zeros((2, 5), "u1")
    padded, _ = compose.pad_square(photo, mask)
    assert padded.shape == (5, 5, 3)
    assert (padded[0] == photo[0]).all() and (padded[1] == photo[0]).all() and (padded[4] == photo[1]).all()
    assert (padded[2] == photo[1]).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_hidden_part_lies_inside_of_somebody(seed):
    rng = np.random.default_rng(seed)
    picture = rng.random((60, 80, 3), dtype=np.float32)
    alpha = np.zeros((60, 80), "f4")
    alpha[10:50, 20:60] = 1
    alpha[8:10, 20:60] = 0.5
    before = picture.copy()
    compose.hide(picture, alpha, rng)
    changed = np.abs(picture - before).max(2) > 1e-6
    assert changed.any() and not changed[alpha < 1].any()
    assert picture.min() >= 0 and picture.max() <= 1
    # Nobody, nothing.
    compose.hide(before, np.zeros_like(alpha), rng)
