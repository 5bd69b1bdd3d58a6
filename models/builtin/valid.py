"""The avatars of the VALID library, read from ``.glb`` and made like those of Rocketbox.

They stand with their arms stretched out sideways; here they are given Rocketbox's bind pose, its bones' names and
its place of the head's joint, so that poses, hair and headgear know one kind of skeleton. A body and a wig become
one mesh, and their pictures one picture beside each other.
"""
from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from . import gltf, paths, poses
from .meshes import Mesh

# Where Rocketbox's left arm points in the bind pose: from the shoulder, the elbow and the wrist.
_ARM = {"UpperArm": ("Forearm", (0.72, 0.0, -0.69)), "Forearm": ("Hand", (0.634, -0.369, -0.679)), "Hand": ("Finger2", (0.61, -0.31, -0.73))}
_EYES_FROM_HEAD = np.array([0.0, -0.085, 0.095])  # metres, likewise
_BONES = {"Shoulder": "Clavicle", "Arm": "UpperArm", "ForeArm": "Forearm", "Hand": "Hand", "UpLeg": "Thigh", "Leg": "Calf",
          "Foot": "Foot", "ToeBase": "Toe0"}
_FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")


def bone_name(name: str) -> str:
    """Rocketbox's name of a VALID bone; those that it lacks keep theirs."""
    if name == "Hips":
        return "Pelvis"
    match = re.fullmatch(r"(Left|Right)(\w+)", name)
    if not match:
        return name
    side, part = match[1][0], match[2]
    if part == "Eye":
        return f"{side}Eye"
    finger = re.fullmatch(r"Hand(\w+?)(\d)", part)
    if finger:
        joint = int(finger[2]) - 1
        return f"{side} Finger{_FINGERS.index(finger[1])}{joint or ''}"
    return f"{side} {_BONES.get(part, part)}"


def _upright(vectors: np.ndarray) -> np.ndarray:
    """glTF's axes (Y up, facing Z) turned to the project's (Z up, facing -Y)."""
    return np.stack([vectors[:, 0], -vectors[:, 2], vectors[:, 1]], 1)


def texture(name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the colours of all materials side by side, each scaled to the first one's size."""
    file = gltf.File(paths.avatar_file(name))
    pictures = [file.picture(index) for index in range(len(file.description["materials"]))]
    size = pictures[0].shape[1::-1]
    return np.hstack([picture if picture.shape[1::-1] == size else cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures])


def cloth(name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB: of the jacket, shirt or overall; all bodies lie alike in their textures."""
    picture = texture(name)
    side = picture.shape[0]
    return picture[int(0.5 * side):int(0.95 * side), int(0.7 * side):int(0.93 * side)]


def with_lowered_arms(mesh: Mesh) -> Mesh:
    """The mesh in Rocketbox's bind pose, whatever way its arms were stretched before."""
    skin = poses.Skin(mesh)
    turned = {}
    for side, sign in poses.SIDES:
        above = np.eye(3)  # how far the bones above have turned already
        for bone, (below, direction) in _ARM.items():
            now = above @ (mesh.joint(f"{side} {below}") - mesh.joint(f"{side} {bone}"))
            own = poses.between(now, np.array(direction) * [sign, 1, 1])
            turned[mesh.bone(f"{side} {bone}")] = above.T @ own @ above
            above = own @ above
    placed = skin.placed(turned)
    positions, normals = skin.apply(placed)
    heads = np.einsum("bij,bj->bi", placed[:, :3, :3], mesh.bone_heads) + placed[:, :3, 3]
    return replace(mesh, positions=positions, normals=normals, bone_heads=heads)


def read(path: Path) -> Mesh:
    """One avatar in Rocketbox's bind pose; ``uvs`` refer to ``texture``."""
    file = gltf.File(path)
    description, skin = file.description, file.description["skins"][0]
    names = [bone_name(description["nodes"][node]["name"]) for node in skin["joints"]]
    place = {node: index for index, node in enumerate(skin["joints"])}
    parents = np.full(len(names), -1)
    for node, index in place.items():
        for child in description["nodes"][node].get("children", []):
            if child in place:
                parents[place[child]] = index
    to_bind = np.linalg.inv(file.numbers(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1).astype("f8"))
    heads = _upright(to_bind[:, :3, 3])
    heads[names.index("Head")] = (heads[names.index("LEye")] + heads[names.index("REye")]) / 2 - _EYES_FROM_HEAD

    materials, parts, count = [entry["name"] for entry in description["materials"]], [], 0
    for primitive in (primitive for entry in description["meshes"] for primitive in entry["primitives"]):
        field = {key: file.numbers(accessor) for key, accessor in primitive["attributes"].items()}
        triangles = file.numbers(primitive["indices"]).astype("i4").reshape(-1, 3) + count
        uvs = (field["TEXCOORD_0"] + [primitive["material"], 0]) / [len(materials), 1]
        parts.append((_upright(field["POSITION"]), _upright(field["NORMAL"]), uvs, field["WEIGHTS_0"], field["JOINTS_0"],
                      triangles, np.full(len(triangles), primitive["material"])))
        count += len(uvs)
    positions, normals, uvs, weights, bones, triangles, kinds = (np.concatenate(column) for column in zip(*parts))
    weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
    return with_lowered_arms(Mesh(
        name=path.stem, positions=positions.astype("f4"), normals=normals.astype("f4"), triangles=triangles.astype("i4"), materials=kinds.astype("i4"),
        material_names=materials, bone_names=names, bone_heads=heads, bone_parents=parents, skin_weights=weights.astype("f4"),
        skin_bones=bones.astype("i4"), uvs=uvs.astype("f4")))
