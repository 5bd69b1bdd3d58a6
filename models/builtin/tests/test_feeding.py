"""Batches are parts of what was made, and the picture and its alpha stay together."""
import pytest
import torch

from builtin import feeding


@pytest.mark.parametrize("rows, columns", [(64, 64), (96, 96), (64, 128), (160, 96)])
def test_parts_are_of_the_wanted_size_and_keep_picture_and_alpha_together(rows, columns):
    torch.manual_seed(1)
    ramp = torch.linspace(0, 1, 128).expand(5, 1, 128, 128)
    parts = feeding.cropped(torch.cat([ramp, ramp], 1), rows, columns)
    assert parts.shape == (5, 2, rows, columns) and torch.equal(parts[:, 0], parts[:, 1])
    assert parts.min() >= 0 and parts.max() <= 1
    reach = (parts[:, 0, :, -1] - parts[:, 0, :, 0]).mean(1)  # how much of the ramp is shown, negative where mirrored
    share = columns / max(rows, columns)
    assert (reach.abs() > 0.9 * feeding.SMALLEST * share).all() and (reach.abs() <= share).all()


def test_each_picture_of_a_batch_gets_a_part_of_its_own():
    torch.manual_seed(2)
    planes = torch.rand(1, 1, 96, 96).expand(6, 1, 96, 96)
    parts = feeding.cropped(planes, 64, 64)
    assert len({tuple(part.flatten()[:8].tolist()) for part in parts}) > 3


class Painted:
    """Sources whose pictures tell by their alpha what their colours are."""

    def __init__(self):
        self.composer = self

    def refresh(self):
        pass

    def sample(self, rng, distraction):
        import numpy as np

        shade = int(rng.integers(256))
        return np.full((feeding.SIDE, feeding.SIDE, 3), shade, "u1"), np.full((feeding.SIDE, feeding.SIDE), shade, "u1")


def test_no_picture_is_handed_out_half_written(monkeypatch):
    monkeypatch.setattr(feeding, "Sources", Painted)
    monkeypatch.setattr(feeding, "ENOUGH", 20)
    supply = feeding.Supply(2, 200, torch.device("cpu"))
    supply.start(0.0, 7)
    try:
        for _ in range(20):
            pictures, alphas = supply.batch(8, 96, 64)
            assert pictures.shape == (8, 3, 96, 64) and alphas.shape == (8, 1, 96, 64)
            assert (pictures - alphas).abs().max() < 1e-6
    finally:
        supply.close()
