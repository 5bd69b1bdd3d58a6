"""Step ``meshes``: the avatars' meshes, skeletons and skin weights.

Rocketbox's are read from FBX with Blender's ``bpy``: one mesh with one set of texture coordinates, and a skeleton
whose transform carries the scale to metres. VALID's are read from glTF, see ``valid``. What is kept is in metres,
Z up, the person facing -Y with the left hand at +X, the arms lowered by about 45 degrees.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import paths

INFLUENCES = 4  # bones that may move one vertex


@dataclass
class Mesh:
    """One avatar in its bind pose: V vertices, T triangles, B bones."""

    name: str
    positions: np.ndarray   # (V, 3) float32, metres
    normals: np.ndarray     # (V, 3) float32, unit length
    triangles: np.ndarray   # (T, 3) int32, vertex indices
    materials: np.ndarray   # (T,) int32, index into material_names
    material_names: list[str]
    bone_names: list[str]   # without the "Bip01 " or "Bip02 " in front
    bone_heads: np.ndarray  # (B, 3) float64, metres: the joints
    bone_parents: np.ndarray  # (B,) int64, -1 at the root
    skin_weights: np.ndarray  # (V, 4) float32, rows sum to 1 (or 0 where no bone moves the vertex)
    skin_bones: np.ndarray    # (V, 4) int32
    # (V, 2) float32 in a picture of textures, (0, 0) its upper left and (1, 1) its lower right corner; (0, 2) without.
    uvs: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), "f4"))

    def bone(self, name: str) -> int | None:
        """Index of a bone by its name, None where this skeleton lacks it."""
        return self.bone_names.index(name) if name in self.bone_names else None

    def joint(self, name: str) -> np.ndarray:
        return self.bone_heads[self.bone_names.index(name)]


def folder() -> Path:
    return paths.work() / "meshes"


def load(name: str) -> Mesh:
    with np.load(folder() / f"{name}.npz", allow_pickle=False) as data:
        fields = {key: data[key] for key in data.files}
    for key in ("material_names", "bone_names"):
        fields[key] = [str(text) for text in fields[key]]
    return Mesh(name=name, **fields)


def _read_fbx(path: Path) -> Mesh:
    import bpy  # a whole Blender: loaded only by this step

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(path))
    objects = [thing for thing in bpy.data.objects if thing.type == "MESH"]
    detailed = [thing for thing in objects if "hipoly" in thing.name.lower()]
    thing = (detailed or sorted(objects, key=lambda thing: -len(thing.data.vertices)))[0]
    skeleton = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    data = thing.data
    data.calc_loop_triangles()

    def vectors(collection, attribute: str, count: int, kind: str) -> np.ndarray:
        flat = np.empty(count, kind)
        collection.foreach_get(attribute, flat)
        return flat

    count, faces = len(data.vertices), len(data.loop_triangles)
    to_world = np.array(thing.matrix_world)
    positions = vectors(data.vertices, "co", count * 3, "f4").reshape(-1, 3) @ to_world[:3, :3].T + to_world[:3, 3]
    normals = vectors(data.vertices, "normal", count * 3, "f4").reshape(-1, 3) @ to_world[:3, :3].T
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9

    bones = [bone.name for bone in skeleton.data.bones]
    place = {name: index for index, name in enumerate(bones)}
    bone_world = np.array(skeleton.matrix_world)
    heads = np.stack([(bone_world @ np.array(bone.matrix_local))[:3, 3] for bone in skeleton.data.bones])
    parents = np.array([place[bone.parent.name] if bone.parent else -1 for bone in skeleton.data.bones])

    group_bone = {group.index: place.get(group.name, -1) for group in thing.vertex_groups}
    weights = np.zeros((count, INFLUENCES), "f4")
    influences = np.zeros((count, INFLUENCES), "i4")
    for vertex in data.vertices:
        strongest = sorted(((group.weight, group_bone[group.group]) for group in vertex.groups
                            if group_bone[group.group] >= 0 and group.weight > 0), reverse=True)[:INFLUENCES]
        total = sum(weight for weight, _ in strongest)
        for slot, (weight, bone) in enumerate(strongest):
            weights[vertex.index, slot], influences[vertex.index, slot] = weight / total, bone

    return Mesh(
        name=path.stem, positions=positions.astype("f4"), normals=normals.astype("f4"),
        triangles=vectors(data.loop_triangles, "vertices", faces * 3, "i4").reshape(-1, 3),
        materials=vectors(data.loop_triangles, "material_index", faces, "i4"),
        material_names=[material.name for material in data.materials],
        bone_names=[name.removeprefix("Bip01 ").removeprefix("Bip02 ") for name in bones],
        bone_heads=heads, bone_parents=parents, skin_weights=weights, skin_bones=influences)


def run() -> None:
    """Read every avatar that has not been read yet."""
    from . import valid  # which builds on this module

    readers = {"rocketbox": _read_fbx, "valid": valid.read}
    files = [(library, paths.avatar_file(name)) for library in readers for name in paths.avatar_names(library=library)]
    for library, path in tqdm(files, desc="meshes"):
        target = folder() / f"{path.stem}.npz"
        if target.exists():
            continue
        mesh = readers[library](path)
        fields = {key: np.asarray(value) for key, value in vars(mesh).items() if key != "name"}
        with paths.replacing(target) as partial:
            np.savez(partial, **fields)
