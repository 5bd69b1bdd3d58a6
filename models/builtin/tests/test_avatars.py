"""Reading of VALID's avatars, their bind pose, their textures, and hands. All files and skeletons here are made up."""
import concurrent.futures
import json
import multiprocessing
import struct

import cv2
import numpy as np
import pytest

from builtin import appearance, gltf, hands, meshes, paths, poses, render, valid

FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")


def stretched(name: str = "somebody") -> meshes.Mesh:
    """A skeleton with its arms stretched out sideways and palms down, as VALID's are; every joint is a vertex."""
    joints = {"Pelvis": ((0, 0, 1.0), None), "Spine": ((0, 0, 1.05), "Pelvis"), "Spine1": ((0, 0, 1.15), "Spine"), "Spine2": ((0, 0, 1.25), "Spine1"),
              "Neck": ((0, 0, 1.45), "Spine2"), "Head": ((0, 0, 1.52), "Neck")}
    for side, sign in poses.SIDES:
        chain = [("Clavicle", 0.03, "Spine2"), ("UpperArm", 0.16, f"{side} Clavicle"), ("Forearm", 0.43, f"{side} UpperArm"), ("Hand", 0.66, f"{side} Forearm")]
        joints |= {f"{side} {bone}": ((sign * along, 0, 1.41), parent) for bone, along, parent in chain}
        for finger in range(5):
            parent = f"{side} Hand"
            for joint in range(4):
                along = 0.68 + 0.02 * joint if finger == 0 else 0.74 + 0.03 * joint
                bone = f"{side} Finger{finger}{joint or ''}"
                joints[bone] = ((sign * along, -0.05 + 0.02 * finger - (0.02 if finger == 0 else 0), 1.41), parent)
                parent = bone
        for bone, height, parent in (("Thigh", 0.93, "Pelvis"), ("Calf", 0.5, f"{side} Thigh"), ("Foot", 0.1, f"{side} Calf")):
            joints[f"{side} {bone}"] = ((sign * 0.08, 0, height), parent)
    names, heads = list(joints), np.array([place for place, _ in joints.values()], float)
    count, first = len(names), np.arange(4) == 0
    return meshes.Mesh(
        name=name, positions=heads.astype("f4"), normals=np.tile(np.float32([0, 0, 1]), (count, 1)), triangles=np.zeros((0, 3), "i4"), materials=np.zeros(0, "i4"),
        material_names=[], bone_names=names, bone_heads=heads, bone_parents=np.array([names.index(parent) if parent else -1 for _, parent in joints.values()]),
        skin_weights=np.tile(first.astype("f4"), (count, 1)), skin_bones=np.arange(count, dtype="i4")[:, None] * first.astype("i4"))


@pytest.fixture
def skin() -> poses.Skin:
    return poses.Skin(valid.with_lowered_arms(stretched()))


def moved(skin: poses.Skin, pose: poses.Pose, bone: str, instead: dict | None = None) -> np.ndarray:
    """Where a joint is in a pose."""
    return skin.apply(skin.transforms(pose, instead))[0][skin.mesh.bone(bone)]


@pytest.mark.parametrize("name, expected", [
    ("Hips", "Pelvis"), ("Spine1", "Spine1"), ("Head", "Head"), ("LeftEye", "LEye"), ("LeftShoulder", "L Clavicle"), ("RightArm", "R UpperArm"),
    ("RightForeArm", "R Forearm"), ("LeftHand", "L Hand"), ("LeftHandThumb1", "L Finger0"), ("LeftHandIndex2", "L Finger11"), ("RightHandPinky3", "R Finger42"),
    ("LeftUpLeg", "L Thigh"), ("RightLeg", "R Calf"), ("LeftFoot", "L Foot"), ("LeftToeBase", "L Toe0")])
def test_bones_get_rocketboxs_names(name, expected):
    assert valid.bone_name(name) == expected


def test_no_two_bones_get_one_name():
    parts = ["Shoulder", "Arm", "ForeArm", "Hand", "FingerBase", "UpLeg", "Leg", "Foot", "ToeBase", "ToeEnd", "Eye"]
    parts += [f"Hand{finger}{joint}" for finger in FINGERS for joint in range(1, 5)]
    names = ["Hips", "Spine", "Spine1", "Spine2", "Neck", "Head", "HeadEnd"] + [side + part for side in ("Left", "Right") for part in parts]
    assert len(names) == 69 and len({valid.bone_name(name) for name in names}) == 69


def test_lowered_arms_point_as_rocketboxs_do():
    before, after = stretched(), valid.with_lowered_arms(stretched())
    for side, sign in poses.SIDES:
        for bone, (below, direction) in valid._ARM.items():
            found = after.joint(f"{side} {below}") - after.joint(f"{side} {bone}")
            expected = np.array(direction) * [sign, 1, 1]
            assert np.allclose(found / np.linalg.norm(found), expected / np.linalg.norm(expected), atol=1e-6)
            assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(before.joint(f"{side} {below}") - before.joint(f"{side} {bone}")))
    assert np.allclose(after.positions, after.bone_heads, atol=1e-5)  # the mesh moved with its joints
    assert np.allclose(after.joint("L Calf"), before.joint("L Calf"))


def test_left_and_right_mirror_each_other():
    mesh = valid.with_lowered_arms(stretched())
    for name in mesh.bone_names:
        if name.startswith("L "):
            assert np.allclose(mesh.joint(name), mesh.joint("R " + name[2:]) * [-1, 1, 1], atol=1e-6)


def test_fingers_bend_towards_the_palm_one_by_one(skin):
    straight = hands.fingers("L", np.zeros(5), 0)
    for finger in range(1, 5):
        bent = straight | {f"L finger {finger}": 60.0}
        for other in range(1, 5):
            step = moved(skin, bent, f"L Finger{other}3") - moved(skin, straight, f"L Finger{other}3")
            if other == finger:
                assert step @ hands.frame(skin.mesh, "L")[:, 2] > 0.03
            else:
                assert np.allclose(step, 0, atol=1e-6)


@pytest.mark.parametrize("side", ["L", "R"])
def test_fingers_spread_apart(side, skin):
    def width(spread: float) -> float:
        pose = hands.fingers(side, np.zeros(5), spread)
        return float(np.linalg.norm(moved(skin, pose, f"{side} Finger13") - moved(skin, pose, f"{side} Finger43")))

    assert width(15) > width(0) + 0.02


@pytest.mark.parametrize("side, sign", poses.SIDES)
def test_a_thumb_bends_across_the_palm(side, sign, skin):
    open_hand, closed = (hands.fingers(side, np.array([curl, 0, 0, 0, 0]), 0) for curl in (0, 45))
    step = moved(skin, closed, f"{side} Finger03") - moved(skin, open_hand, f"{side} Finger03")
    assert step @ hands.frame(skin.mesh, side)[:, 1] < 0


def test_random_fingers_stay_possible():
    rng = np.random.default_rng(0)
    for _ in range(200):
        pose = hands.random_fingers(rng, "R")
        assert all(-13 <= pose[f"R finger {finger}"] <= 88 for finger in range(5)) and abs(pose["R spread"]) < 20


@pytest.mark.parametrize("side, sign", poses.SIDES)
@pytest.mark.parametrize("name", hands.GESTURES)
def test_a_shown_hand_is_before_its_owner_and_looks_as_asked(name, side, sign, skin):
    gesture = hands.GESTURES[name]
    pose, instead = hands.raised(skin, {}, side, name, np.random.default_rng(3), 0.0, 0.0)
    placed = skin.transforms(pose, instead)
    axes = placed[skin.mesh.bone(f"{side} Hand")][:3, :3] @ hands.frame(skin.mesh, side)
    for found, asked in ((axes[:, 0], gesture.along), (axes[:, 2], gesture.palm)):
        asked = np.array(asked) * [sign, 1, 1]
        assert found @ asked / np.linalg.norm(asked) > 0.6
    hand = moved(skin, pose, f"{side} Hand", instead)
    assert hand[1] < 0 and hand[2] > 1.0
    for bone, length in (("UpperArm", 0.27), ("Forearm", 0.23)):
        below = {"UpperArm": "Forearm", "Forearm": "Hand"}[bone]
        assert np.linalg.norm(moved(skin, pose, f"{side} {below}", instead) - moved(skin, pose, f"{side} {bone}", instead)) == pytest.approx(length, abs=1e-4)


@pytest.mark.parametrize("side, sign", poses.SIDES)
def test_a_hand_may_be_farther_out(side, sign, skin):
    near, far = (moved(skin, *posed) for posed in (
        (pose, f"{side} Hand", instead) for pose, instead in (
            hands.raised(skin, {}, side, "face", np.random.default_rng(3), 0.0, 0.0, beside) for beside in (0.0, 0.2))))
    assert sign * (far - near)[0] > 0.05


@pytest.mark.parametrize("across", [-0.5, 0.5])
def test_a_hand_meets_the_nearer_side_with_the_head_in_the_picture(across):
    rng, hand, head = np.random.default_rng(1), np.array([across, -0.2, 1.5]), np.array([0.1 * across, 0.0, 1.6])
    for _ in range(50):
        view = render.at_a_side(render.look_at(head, 0.8, 0.0, 0.0, 0.0, 40.0, (0.0, 0.0)), hand, head, rng)
        seen = (view.matrix @ np.append(point, 1) for point in (hand, head))
        hand_at, head_at = ((view.focal * x / z + view.centre[0], view.focal * y / z + view.centre[1]) for x, y, z, _ in seen)
        assert 0.7 < np.sign(hand_at[0] - head_at[0]) * hand_at[0] < 1.1
        assert abs(head_at[0]) < 0.95 and -0.45 < head_at[1] < 0.25


def test_what_is_apart_touches_an_edge_and_is_no_speck():
    alpha = np.zeros((100, 100), "u1")
    alpha[40:, 30:70] = 255
    assert not render.apart(alpha).any()
    alpha[10:30, :8] = alpha[50, 99] = alpha[5:15, 40:50] = 255  # a hand at the left, a speck at the right, something in the air
    assert np.array_equal(render.apart(alpha).nonzero(), np.mgrid[10:30, :8].reshape(2, -1))
    assert not render.apart(alpha * 0).any()


def test_chances_of_gestures_sum_to_one():
    assert sum(hands._CHANCES.values()) == pytest.approx(1) and set(hands._CHANCES) == set(hands.GESTURES)


def test_colours_are_taken_where_uvs_point():
    picture = np.zeros((2, 4, 3), "u1")
    picture[0, 3], picture[1, 0] = (255, 0, 0), (0, 0, 255)
    colours = appearance.sampled(picture, np.float32([[0.875, 0.25], [0.125, 0.75], [0.75, 0.25], [1, 0], [0.375, 0.25]]))
    assert np.allclose(colours, [[1, 0, 0], [0, 0, 1], [0.5, 0, 0], [1, 0, 0], [0, 0, 0]], atol=0.02)


def test_many_colours_can_be_taken():
    assert np.allclose(appearance.sampled(np.full((3, 3, 3), 51, "u1"), np.full((70000, 2), 0.4, "f4")), 0.2)


def test_glb_files_are_read(tmp_path):
    points, weights = np.arange(12, dtype="<f4").reshape(4, 3), np.array([[255, 0, 0, 0], [51, 204, 0, 0]], "u1")
    interleaved = b"".join(row.tobytes() + b"\0\0\0\0" for row in points)
    image = cv2.imencode(".png", np.dstack([np.full((2, 3), value, "u1") for value in (10, 20, 30)]))[1].tobytes()
    chunks, views, start = [interleaved, weights.tobytes(), image], [], 0
    for chunk in chunks:
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(chunk)})
        start += len(chunk)
    views[0]["byteStride"] = 16
    description = json.dumps({
        "bufferViews": views, "images": [{"bufferView": 2}], "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": 4},
                      {"bufferView": 1, "componentType": 5121, "type": "VEC4", "count": 2, "normalized": True}]}).encode()
    description += b" " * (-len(description) % 4)
    content = b"".join(chunks)
    path = tmp_path / "somebody.glb"
    path.write_bytes(b"glTF" + struct.pack("<II", 2, 0) + struct.pack("<I4s", len(description), b"JSON") + description + struct.pack("<I4s", len(content), b"BIN\0") + content)
    file = gltf.File(path)
    assert (file.numbers(0) == points).all()
    assert np.allclose(file.numbers(1), weights / 255)
    assert (file.picture(0) == [30, 20, 10]).all() and file.picture(0).shape == (2, 3, 3)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "somebody.glb").write_bytes(b"FBX" + bytes(40))
    with pytest.raises(ValueError, match="somebody.glb"):
        gltf.File(tmp_path / "somebody.glb")


def test_persons_are_held_out_in_whatever_they_wear(tmp_path, monkeypatch):
    monkeypatch.setenv("DAVIDMATTE_ASSETS", str(tmp_path))
    (tmp_path / "valid").mkdir()
    for person in [*paths.HELD_OUT_PERSONS, "White_M_9", "X_White_M_2"]:
        for outfit in ("Busi", "Medi"):
            (tmp_path / "valid" / f"{person}_{outfit}.glb").touch()
    assert {name.rpartition("_")[0] for name in paths.avatar_names(True, "valid")} == paths.HELD_OUT_PERSONS
    assert {name.rpartition("_")[0] for name in paths.avatar_names(False, "valid")} == {"White_M_9", "X_White_M_2"}


def test_a_woman_and_a_man_of_each_group_are_held_out():
    kinds = [paths.group_and_sex(person) for person in paths.HELD_OUT_PERSONS]
    assert len(set(kinds)) == len(kinds) == 14 and {sex for _, sex in kinds} == {"F", "M"}


def test_shards_know_their_numbers_and_avatars(tmp_path):
    pictures = [np.full((8, 8, 4), value, "u1") for value in (9, 200)]
    path = tmp_path / render.name_of(12, True)
    render.save(path, pictures, framings=np.array(["face", "far"]), avatars=np.array(["White_F_2_Busi", "Asian_M_3_Util"]))
    shard = render.Shard(path.with_suffix(".npz"))
    assert render.number_of(path) == 12 and list(shard.avatars) == ["White_F_2_Busi", "Asian_M_3_Util"]
    assert (shard.crop(1)[0] == 200).all()


def square_person() -> tuple[meshes.Mesh, appearance.Appearance]:
    """A square of two metres that faces -Y, its texture red on the person's left and green above on the right."""
    picture = np.zeros((8, 8, 3), "u1")
    picture[:, 4:], picture[:4, :4] = (255, 0, 0), (0, 255, 0)
    points = np.float32([[-1, 0, 0], [1, 0, 0], [1, 0, 2], [-1, 0, 2]])
    mesh = meshes.Mesh(
        name="square", positions=points, normals=np.tile(np.float32([0, -1, 0]), (4, 1)), triangles=np.array([[0, 1, 2], [0, 2, 3]], "i4"),
        materials=np.zeros(2, "i4"), material_names=["Body"], bone_names=["Head"], bone_heads=np.zeros((1, 3)), bone_parents=np.array([-1]),
        skin_weights=np.tile(np.float32([1, 0, 0, 0]), (4, 1)), skin_bones=np.zeros((4, 4), "i4"), uvs=np.float32([[0, 1], [1, 1], [1, 0], [0, 0]]))
    look = appearance.Appearance(picture, None, appearance.sampled(picture, mesh.uvs), mesh.uvs, np.zeros(4, "f4"), np.array([0.7, 0.5, 0.4]), -10.0,
                                 np.zeros(0, int), np.float32([[1, 0, 0]] * 4))
    return mesh, look


def drawn(recolour: float) -> np.ndarray | None:
    """(32, 32, 4) uint8: the square with its clothes in their own colours (0) or in blue (1); None where nothing can be drawn."""
    from builtin.renderer import Renderer

    try:
        renderer = Renderer(32)
    except Exception:  # no EGL here
        return None
    mesh, look = square_person()
    black = (0.0, 0.0, 0.0)
    renderer.set(sky=(1.0, 1.0, 1.0), ground=(1.0, 1.0, 1.0), lamp1=(0.0, -1.0, 0.0), lamp1_colour=black, lamp2=(0.0, -1.0, 0.0), lamp2_colour=black, shine=0.0,
                 recolour=(recolour, recolour, 0.0), upper_colour=(0.0, 0.0, 1.0), lower_colour=black, hair_colour=black, pattern_colour=black, pattern=0,
                 pattern_style=(1.0, 0.0, 0.0), skin_tint=(1.0, 1.0, 1.0), grain=0.0)
    renderer.picture(look.picture, shrinks=True)
    view = render.look_at(np.array([0, 0, 1.0]), 2.5, 0, 0, 0, 30, (0, 0))
    renderer.begin(view.matrix, view.focal, view.centre)
    renderer.person(mesh, look, mesh.positions, mesh.normals, np.zeros(4, "f4"))
    return renderer.finish().copy()


@pytest.mark.parametrize("recolour", [0.0, 1.0])
def test_textures_are_drawn_upright_and_take_other_clothes(recolour):
    pytest.importorskip("moderngl")
    # In a process of its own: PyTorch crashes in one that has loaded Mesa's drivers before.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        picture = pool.submit(drawn, recolour).result()
    if picture is None:
        pytest.skip("no OpenGL")
    assert picture[16, 16, 3] == 255 and picture[0, 0, 3] == 0
    upper_left, right = picture[8, 8, :3].astype(int), picture[16, 24, :3].astype(int)
    if recolour:
        assert upper_left[2] > 2 * upper_left[:2].max() and right[2] > 2 * right[:2].max()
    else:
        assert upper_left[1] > 200 and upper_left[[0, 2]].max() < 20 and right[0] > 200 and right[1:].max() < 20
