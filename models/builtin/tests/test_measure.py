"""Metrics, the way to the network and back, and the random poses' skinning."""
import numpy as np
import pytest

from builtin import contract, evaluate, poses
from builtin.meshes import Mesh


def test_scores_of_a_perfect_and_an_inverted_matte():
    truth = np.zeros((10, 20), "f4")
    truth[:, :10] = 1
    assert evaluate.scores_of(truth, truth) == {"iou": 1.0, "mad": 0.0, "mse": 0.0, "sad": 0.0}
    worst = evaluate.scores_of(1 - truth, truth)
    assert worst == {"iou": 0.0, "mad": 1.0, "mse": 1.0, "sad": 0.2}


def test_scores_of_half_a_body():
    truth = np.ones((4, 4), "f4")
    matte = truth.copy()
    matte[:2] = 0.25
    scores = evaluate.scores_of(matte, truth)
    assert scores["iou"] == 0.5 and scores["mad"] == pytest.approx(0.375) and scores["mse"] == pytest.approx(0.28125)


def test_nobody_found_where_nobody_is():
    assert evaluate.scores_of(np.zeros((4, 4), "f4"), np.zeros((4, 4), "f4"))["iou"] == 1.0


@pytest.mark.parametrize("size", [(48, 64), (101, 64), (64, 64), (700, 1000), (1, 1), (3, 50)])
@pytest.mark.parametrize("shape", [lambda rows, columns: (64, 64), lambda rows, columns: contract.shaped(rows, columns, 64)])
@pytest.mark.parametrize("fit", contract.FITS)
def test_there_and_back_keeps_place_and_size(size, fit, shape):
    frame = np.zeros((*size, 3), "u1")
    frame[:, size[1] // 2:] = 255
    wanted = shape(*size)
    given = contract.prepare(frame, wanted, fit)
    assert given.shape == (1, 3, *wanted) and given.dtype == np.float32 and 0 <= given.min() and given.max() <= 1
    matte = contract.matte_of(frame, lambda batch: batch[:, :1], wanted, fit)
    assert matte.shape == size and 0 <= matte.min() and matte.max() <= 1
    if min(size) > 40:
        assert matte[:, :size[1] // 3].max() < 0.1 and matte[:, -(size[1] // 3):].min() > 0.9


@pytest.mark.parametrize("frame, size", [((1080, 1920), (256, 416)), ((960, 540), (416, 256)), ((64, 64), (320, 320)), ((1, 4000), (32, 20224))])
def test_an_input_of_the_frame_s_shape_has_as_many_samples_as_a_square(frame, size):
    assert contract.shaped(*frame, 320) == size


def test_an_identity_pose_moves_nothing():
    bones = ["Pelvis", "Spine1", "Spine2", "Neck", "Head"]
    for side in "LR":
        bones += [f"{side} {part}" for part in ("Clavicle", "UpperArm", "Forearm", "Hand", "Thigh", "Calf", "Foot")]
    rng = np.random.default_rng(0)
    heads = rng.normal(size=(len(bones), 3))
    points = rng.normal(size=(30, 3)).astype("f4")
    weights = np.zeros((30, 4), "f4")
    weights[:, 0] = 1
    mesh = Mesh("test", points, np.tile(np.array([[0, 0, 1]], "f4"), (30, 1)), np.zeros((1, 3), "i4"), np.zeros(1, "i4"),
                ["body"], bones, heads, np.arange(len(bones)) - 1, weights, rng.integers(0, len(bones), (30, 4)).astype("i4"))
    moved, normals = poses.Skin(mesh).apply(poses.Skin(mesh).transforms({}))
    assert np.allclose(moved, points, atol=1e-5) and np.allclose(normals[:, 2], 1)


def test_rotations_turn_the_right_way():
    assert np.allclose(poses.rotation([0, 0, 1], 90) @ [1, 0, 0], [0, 1, 0])
    assert np.allclose(poses.rotation([1, 2, 3], 70) @ poses.rotation([1, 2, 3], -70), np.eye(3))
