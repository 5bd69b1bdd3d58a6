"""The avatars' colours: textures, or the preview picture projected onto the mesh and what is guessed where it saw nothing.

VALID's avatars have their textures. Of Rocketbox's there are only previews: the side the preview shows takes its
colours from it, the hidden side from its mirror image in X, what neither shows from the nearest coloured vertex of
the same material.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy.spatial import cKDTree

from . import cameras, meshes, paths, poses, valid

BODY, HEAD, EQUIPMENT, HAIR_CARD = 0, 1, 2, 3  # kinds of material
_MIRROR = np.array([-1.0, 1.0, 1.0])
# Depth counts more than height and width when looking for the nearest colour: shirts must not land on backs.
_NEAREST_WEIGHTS = np.array([1.0, 2.5, 1.0])


@dataclass
class Appearance:
    """Colours of one avatar; all colours are display-encoded RGB in [0, 1]."""

    picture: np.ndarray     # (H, W, 3) uint8 RGB: the preview, its colours grown beyond the silhouette, or the textures
    camera: np.ndarray | None   # (6,) of the preview; None where there are textures
    colours: np.ndarray     # (V, 3) float32
    places: np.ndarray      # (V, 2) float32: how far the preview, and its mirror image, show the vertex; or where in the textures it lies
    kinds: np.ndarray       # (V,) float32: BODY, HEAD, EQUIPMENT or HAIR_CARD
    skin: np.ndarray        # (3,) the face's skin colour
    waist: float            # metres above the ground: where the upper clothing ends
    hair_roots: np.ndarray  # (N,) vertex indices from which loose strands may grow; empty under a hat
    parts: np.ndarray       # (V, 3) float32: how far a vertex with a texture is of clothes, of hair, of bare hands; (0, 3) without textures


def _grown_colours(preview: np.ndarray) -> np.ndarray:
    """The preview's RGB with colours spread past the silhouette, so that edges do not pick up black."""
    sure = (cv2.erode(preview[..., 3], np.ones((3, 3), np.uint8)) > 250).astype("f4")
    colours = preview[..., 2::-1].astype("f4") / 255 * sure[..., None]
    grown, known = colours.copy(), sure.copy()
    for side in (3, 7, 15):
        near, weight = cv2.blur(colours, (side, side)), cv2.blur(sure, (side, side))
        fresh = (known < 0.5) & (weight > 1e-3)
        grown[fresh] = near[fresh] / weight[fresh][:, None]
        known[fresh] = 1
    return (np.clip(grown, 0, 1) * 255).astype("u1")


def _kind(material: str) -> int:
    material = material.lower()
    if "opacity" in material:
        return HAIR_CARD
    if "head" in material:
        return HEAD
    return BODY if "body" in material or material == "f204" else EQUIPMENT


def _hair_roots(mesh: meshes.Mesh, colours: np.ndarray, kinds: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Vertices on the skull or on hair cards that do not look like skin and are not in the face."""
    joint = mesh.joint("Head")
    points = mesh.positions
    weight = np.array([0.3, 0.6, 0.1])
    tint = colours / (colours @ weight + 0.02)[:, None] - skin / (skin @ weight + 0.02)
    unlike_skin = (np.abs(tint).sum(1) > 0.45) | (colours @ weight < 0.55 * (skin @ weight))
    in_face = (points[:, 1] < joint[1] - 0.03) & (points[:, 2] < joint[2] + 0.13)
    skull = (kinds == HEAD) & (points[:, 2] > joint[2] + 0.05)
    return np.where(((kinds == HAIR_CARD) | skull) & unlike_skin & ~in_face)[0]


def sampled(picture: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """(V, 3) float32 in [0, 1]: colours of a picture (H, W, 3) uint8 at ``uvs`` (V, 2), between pixels as OpenGL does."""
    height, width = picture.shape[:2]
    spots = (uvs * [width, height] - 0.5).astype("f4")[:, None]
    parts = [cv2.remap(picture, part, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
             for part in np.array_split(spots, len(spots) // 30000 + 1)]  # OpenCV takes no more than 32,767 rows at once
    return np.concatenate(parts)[:, 0].astype("f4") / 255


def _skin_of(mesh: meshes.Mesh, kinds: np.ndarray, colours: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(3,) the skin's colour: the face's below the eyes, of those vertices whose colours are known."""
    face = (kinds == HEAD) & shown
    if (kinds == HEAD).any() and not (kinds == HEAD).all():
        front = mesh.positions[:, 1] < np.percentile(mesh.positions[kinds == HEAD][:, 1], 35)
        face &= (np.abs(mesh.positions[:, 2] - mesh.joint("Head")[2] - 0.06) < 0.04) & front
    return np.median(colours[face], axis=0) if face.sum() > 5 else np.array([0.75, 0.55, 0.45])


@lru_cache(maxsize=64)
def load(name: str) -> tuple[meshes.Mesh, Appearance]:
    """Mesh and colours of one avatar."""
    mesh = meshes.load(name)
    return mesh, _textured(mesh) if len(mesh.uvs) else _projected(mesh)


def _textured(mesh: meshes.Mesh) -> Appearance:
    """Colours by texture; which vertices are clothes, head or hands follows from the bones that move them."""
    picture, skin = valid.texture(mesh.name), poses.Skin(mesh)
    colours, points, joint = sampled(picture, mesh.uvs), mesh.positions, mesh.joint("Head")
    hand_bones = [bone for bone in mesh.bone_names if bone[2:].startswith(("Hand", "Finger"))]
    head, hands = skin.weight_of("Head", "Neck", "LEye", "REye", "HeadEnd"), skin.weight_of(*hand_bones)
    wig = np.zeros(len(points), bool)
    if "Hair" in mesh.material_names:
        wig[mesh.triangles[mesh.materials == mesh.material_names.index("Hair")].ravel()] = True
    is_head = (head > 0.5) & ~wig

    tone = _skin_of(mesh, np.where(is_head, HEAD, BODY), colours, ~wig)
    roots = _hair_roots(mesh, colours, np.where(wig, HAIR_CARD, np.where(is_head, HEAD, BODY)), tone)
    in_face = (points[:, 1] < joint[1] - 0.03) & (points[:, 2] < joint[2] + 0.13)
    skull = is_head & (points[:, 2] > joint[2] + 0.05) & ~in_face
    cloth = np.where(wig, 0.0, np.clip(1.5 - 2 * (head + hands), 0, 1))
    parts = np.stack([cloth, wig | skull, hands * (hands > 0.9)], 1).astype("f4")
    # Wigs are opaque, and hands keep their colours: both are drawn as heads are.
    kinds = np.where(wig | is_head | (hands > 0.5), HEAD, BODY).astype("f4")
    return Appearance(picture, None, colours, mesh.uvs, kinds, tone, float(mesh.joint("Spine1")[2] - 0.05), roots, parts)


def _projected(mesh: meshes.Mesh) -> Appearance:
    """Colours by the preview's camera."""
    name, camera = mesh.name, cameras.load()[mesh.name]
    preview = cv2.imread(str(paths.assets() / "rocketbox" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    texture = _grown_colours(preview)
    points = mesh.positions.astype("f8")
    pixels, depths = cameras.project(points, camera)
    height, width = texture.shape[:2]
    depth_image = cameras.rasterise(pixels, depths, mesh.triangles, height, width)
    eye = cameras.AIM - cameras.rotation(*camera[:2]).T @ np.array([0, 0, camera[5]])

    def seen(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pixels, depths = cameras.project(points, camera)
        x = np.clip(pixels[:, 0].astype(int), 1, width - 2)
        y = np.clip(pixels[:, 1].astype(int), 1, height - 2)
        around = np.max([depth_image[y + j, x + i] for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
        in_front = depths < np.where(around > 1e8, 0, depth_image[y, x]) + 0.02
        towards = eye - points
        towards /= np.linalg.norm(towards, axis=1, keepdims=True)
        return (in_front & ((towards * normals).sum(1) > 0.2)).astype("f4"), texture[y, x] / 255.0

    direct, direct_colours = seen(points, mesh.normals)
    mirrored, mirrored_colours = seen(points * _MIRROR, mesh.normals * _MIRROR)

    kinds = np.zeros(len(points), "f4")
    for index, material in enumerate(mesh.material_names):
        kinds[mesh.triangles[mesh.materials == index].ravel()] = _kind(material)

    colours = np.where(direct[:, None] > 0, direct_colours, np.where(mirrored[:, None] > 0, mirrored_colours, -1.0))
    for kind in np.unique(kinds):
        members = np.where(kinds == kind)[0]
        known, unknown = members[colours[members, 0] >= 0], members[colours[members, 0] < 0]
        if len(unknown) == 0:
            continue
        if len(known) < 4:
            known = np.where(colours[:, 0] >= 0)[0]
        _, nearest = cKDTree(points[known] * _NEAREST_WEIGHTS).query(points[unknown] * _NEAREST_WEIGHTS, k=3)
        colours[unknown] = colours[known][nearest].mean(1)

    skin = _skin_of(mesh, kinds, direct_colours, direct > 0)
    waist = mesh.joint("Spine1")[2] - 0.06 * points[:, 2].max() / 1.75
    under_hat = any(_kind(name) == EQUIPMENT for name in mesh.material_names)  # helmets, hats and masks
    roots = np.zeros(0, int) if under_hat else _hair_roots(mesh, colours, kinds, skin)
    return Appearance(texture, camera, colours.astype("f4"), np.stack([direct, mirrored], 1).astype("f4"),
                      kinds, skin, float(waist), roots, np.zeros((0, 3), "f4"))
