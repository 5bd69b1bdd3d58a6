"""What is drawn besides plain people: things on heads, large things in hands, and what a codec does."""
import numpy as np
import pytest

from builtin import codec, headgear, solids

SIZE = np.array([0.08, 0.1, 0.12])


def is_sound(solid: solids.Solid) -> bool:
    vertices, normals, triangles = solid
    return (vertices.shape == normals.shape and np.isfinite(vertices).all() and np.isfinite(normals).all() and len(triangles) > 0
            and 0 <= triangles.min() and triangles.max() < len(vertices))


@pytest.mark.parametrize("kind", headgear._KINDS, ids=lambda kind: kind.__name__)
def test_what_is_worn_is_around_the_head(kind):
    for seed in range(8):
        worn = kind(np.random.default_rng(seed), SIZE)
        assert is_sound(worn.solid)
        assert np.abs(worn.solid[0]).max() < 0.7
        assert np.linalg.norm(worn.solid[0].mean(0)) < 0.35


def test_chances_of_what_is_worn_sum_to_one():
    assert sum(headgear._CHANCES) == pytest.approx(1)


def test_a_cable_hangs_from_its_ear_to_its_end():
    for seed in range(20):
        ear, end = np.array([0.08, 0.0, 1.6]), np.array([0.05, -0.1, 1.3])
        solid = headgear.cable(np.random.default_rng(seed), ear, end, np.array([1.0, 0, 0]))
        assert is_sound(solid)
        assert np.linalg.norm(solid[0][:5] - ear, axis=1).max() < 0.005 and np.linalg.norm(solid[0][-5:] - end, axis=1).max() < 0.005
        assert np.abs(solid[0] - ear).max() < 0.8


@pytest.mark.parametrize("make", [solids.held, solids.held_large, solids.wheelchair])
def test_what_is_held_is_sound(make):
    rng = np.random.default_rng(0)
    for _ in range(40):
        solid = make(rng)
        assert is_sound(solid) and np.abs(solid[0]).max() < 2


def test_structures_are_sound_and_of_a_buildings_size():
    rng = np.random.default_rng(0)
    for _ in range(80):
        solid = solids.structure(rng)
        assert is_sound(solid)
        assert 0.3 < np.ptp(solid[0], axis=0).max() < 12 and solid[0][:, 2].min() > -0.2


@pytest.mark.parametrize("path", [[[0, 0, 0], [0, 0, 1]], [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 0, 0], [1, 1, 1], [2, 2, 2]]])
def test_a_tube_keeps_its_distance_from_its_path(path):
    path = np.array(path, float)
    vertices, normals, _ = solids.tube(path, 0.1)
    distance = np.linalg.norm(vertices.reshape(len(path), -1, 3) - path[:, None], axis=2)
    assert np.allclose(distance, 0.1) and np.allclose(np.linalg.norm(normals, axis=1), 1)


@pytest.mark.parametrize("size", [(64, 64), (63, 101)])
@pytest.mark.parametrize("motion", [None, (3, -2)])
def test_a_codec_keeps_size_and_most_of_a_picture(size, motion):
    y, x = np.mgrid[:size[0], :size[1]]
    photo = np.dstack([x * 2, y * 2, x + y]).astype("u1")
    fine, coarse = (codec.compressed(photo, factor, motion) for factor in (18, 42))
    assert fine.shape == coarse.shape == photo.shape and fine.dtype == np.uint8
    errors = [np.abs(result.astype(int) - photo).mean() for result in (fine, coarse)]
    assert errors[0] < 6 and errors[0] < errors[1] < 25
