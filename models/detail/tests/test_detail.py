"""What can be checked without the assets: coarse mattes, gates, drawn shapes, the network and its file."""
import cv2
import numpy as np
import onnxruntime
import pytest
import torch

from builtin import contract
from detail import export, network, places, samples, shapes, train


def edge(width=64):
    return np.repeat((np.arange(width) < width // 2).astype("f4")[None], width, 0)


def test_a_gate_is_open_at_an_edge_and_shut_far_from_it():
    gate = samples.gate_of(edge(), 3.0)
    assert gate[32, 30] == 1 and gate[32, 33] == 1
    assert gate[32, :20].max() == 0 and gate[32, 44:].max() == 0
    assert samples.gate_of(np.ones((16, 16), "f4"), 3.0).max() == 0


@pytest.mark.parametrize("seed", range(30))
def test_spoilt_masks_are_masks(seed):
    spoilt = samples.spoil(edge(), np.random.default_rng(seed))
    assert spoilt.shape == (64, 64) and spoilt.min() >= 0 and spoilt.max() <= 1
    # It is still of the same edge.
    assert spoilt[:, :16].mean() > 0.9 and spoilt[:, 48:].mean() < 0.1


@pytest.mark.parametrize("seed", range(12))
def test_drawn_shapes_are_premultiplied(seed):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    drawn = shapes.draw(rng, pictures)
    assert drawn.shape == (shapes.SIDE, shapes.SIDE, 4) and drawn.dtype == np.uint8
    assert (drawn[..., :3].max(2).astype(int) <= drawn[..., 3].astype(int) + 1).all()


def test_a_network_that_learnt_nothing_changes_nothing():
    fresh = network.Network().eval()
    tiles = torch.rand(2, 4, samples.TILE, samples.TILE)
    assert not fresh(tiles).any()


def test_the_loss_is_least_for_the_truth():
    truth = torch.from_numpy(cv2.GaussianBlur(edge(80), (0, 0), 1.0))[None, None]
    coarse = torch.from_numpy(cv2.GaussianBlur(edge(80), (0, 0), 4.0))[None, None]
    ones = torch.ones_like(truth)
    loss = lambda matte: float(train.loss_of(network.middle_of(matte - coarse), coarse, ones, truth, ones))
    assert loss(truth) < 1e-6 < loss(coarse)
    # Where the coarse matte is of something else it is to stay.
    other = lambda matte: float(train.loss_of(network.middle_of(matte - coarse), coarse, ones, truth, torch.zeros_like(ones)))
    assert other(coarse) < 1e-6 < other(truth)


def test_an_edge_that_is_only_guessed_is_better_soft():
    # It is four pixels to the left or to the right, as often one as the other.
    truths = [torch.from_numpy(np.roll(edge(80), shift, 1))[None, None] for shift in (-4, 4)]
    coarse = torch.full_like(truths[0], 0.5)
    ones = torch.ones_like(coarse)
    cost = lambda matte: sum(float(train.loss_of(network.middle_of(matte - coarse), coarse, ones, truth, ones)) for truth in truths)
    assert cost((truths[0] + truths[1]) / 2) < cost(truths[0])


@pytest.mark.parametrize("frame", [(300, 400), (225, 275), (480, 270), (900, 900)])
@pytest.mark.parametrize("seed", range(5))
def test_a_part_of_a_mask_lies_where_its_frame_is_cut(frame, seed):
    rng = np.random.default_rng(seed)
    size = contract.shaped(*frame, 320)
    ramp = np.repeat(np.linspace(0, 255, frame[1], dtype="f4")[None], frame[0], 0)
    mask = contract.prepare(np.repeat(ramp[..., None], 3, 2), size, "pad")[0, 0]
    side = 200
    corner = [int(rng.integers(0, length - side + 1)) for length in frame]
    cut = tuple(slice(start, start + side) for start in corner)
    here = samples.part_of_mask(mask, frame, cut)
    enlarged = cv2.resize(here, (side, side), interpolation=cv2.INTER_CUBIC)
    # To a tenth of a sample, but for where the picture's own end shows.
    inside = slice(16, -16)
    slope = 1 / (frame[1] - 1) * frame[1] / size[1]
    assert np.abs(enlarged - ramp[cut] / 255)[:, inside].max() < max(0.1 * slope, 0.15 / frame[1])


@pytest.mark.parametrize("near", [False, True])
def test_a_photograph_is_looked_at_as_a_whole_or_at_its_people(near):
    some = samples.Samples.__new__(samples.Samples)
    picture = np.arange(100 * 200 * 3, dtype="u4").astype("u1").reshape(100, 200, 3)
    label = np.zeros((100, 200), "u1")
    label[40:60, 120:140] = 255
    some._read = {0: (picture, label)}
    shown, cut = some._photograph(0, near)
    where = (slice(37, 63), slice(117, 143)) if near else (slice(None), slice(None))
    assert np.array_equal(cut, label[where]) and np.array_equal(shown, picture[where])


def test_what_lies_around_the_middle_is_seen():
    torch.manual_seed(1)
    some = network.Network().eval()
    torch.nn.init.normal_(some.coefficients.weight)
    tiles = torch.rand(1, 4, samples.TILE, samples.TILE)
    other = tiles.clone()
    other[..., : network.MARGIN] = 0
    with torch.no_grad():
        assert not torch.equal(some.coefficients_of(tiles), some.coefficients_of(other))


def test_the_exported_file_is_the_network():
    session = onnxruntime.InferenceSession(str(places.MODEL), providers=["CPUExecutionProvider"])
    model = network.Coefficients(export.load(places.WEIGHTS)).eval()
    tiles = torch.rand(3, 4, samples.TILE, samples.TILE)
    tiles[1] = 0.5
    ours = session.run(None, {"tiles": tiles.numpy()})[0]
    with torch.no_grad():
        assert np.abs(ours - model(tiles).numpy()).max() < 1e-3


def test_coefficients_are_of_a_cells_pixels_row_by_row():
    torch.manual_seed(2)
    some = network.Network().eval()
    torch.nn.init.normal_(some.coefficients.weight)
    tiles = torch.rand(1, 4, samples.TILE, samples.TILE)
    with torch.no_grad():
        coefficients, change = some.coefficients_of(tiles)[0], some(tiles)[0, 0]
    seen = network.middle_of(tiles)[0]
    for y, x in [(0, 0), (9, 30), (71, 71)]:
        of_pixel = coefficients[4 * (y % 4) + x % 4 :: 16, y // 4, x // 4]
        assert torch.isclose(change[y, x], of_pixel[:4] @ seen[:, y, x] + of_pixel[4], atol=1e-4)


def test_the_exported_file_is_small():
    assert places.MODEL.stat().st_size < 1e6
    assert sum(weight.numel() for weight in network.Network().parameters()) < 120_000
