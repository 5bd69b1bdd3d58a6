"""Step ``render``: pictures of posed, dressed, lit avatars with exact alpha, and of things that are no people.

Each shard is made from its own seed alone and written at once, so rendering can stop and go on at any time.
"""
from __future__ import annotations

import colorsys
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
from tqdm import tqdm

from . import appearance, cameras, hair, hands, headgear, paths, poses, solids, valid

SIDE = 320            # pixels of a render
PEOPLE_PER_SHARD = 1000
THINGS_PER_SHARD = 120
AVATARS_PER_SHARD = 50
VALID_SHARE = 0.4     # of a shard's avatars have textures
# Held-out shards by number: 0 as it was from the beginning, 1 with extras, 2 of VALID's persons and with all that is drawn.
HELD_OUT_VALID = 2
# From this shard on, trained on or held out, everybody has a hand that comes in from a side of the picture.
COMING_IN_FROM = 1000
COMING_IN = "coming in"  # their framing
_COMING_IN_TRIES = 5     # of which the last is taken as it is
FRAMINGS = ("face", "bust", "half", "full", "far")
NEAR_FRAMINGS = FRAMINGS[:3]
_FRAMING_WEIGHTS = (0.12, 0.30, 0.20, 0.26, 0.12)
_GESTURES = 0.27      # of the near framings show a raised hand
_CABLES = 0.16        # of the people have a cable hanging from an ear or from what they wear
_OWN_CLOTHES = 0.55   # of the pictures of textured avatars show their clothes as they are
_HAIR_COLOURS = [(0.01, 0.008, 0.006), (0.03, 0.015, 0.01), (0.1, 0.05, 0.02), (0.3, 0.18, 0.07), (0.25, 0.06, 0.02),
                 (0.35, 0.35, 0.35), (0.55, 0.42, 0.25)]


def folder() -> Path:
    return paths.work() / "renders"


# ---------------------------------------------------------------------------------------------- random choices

def random_light(rng: np.random.Generator) -> dict:
    """Uniforms of a sky, a ground and two lamps; colours are linear RGB and may exceed 1."""
    def direction() -> tuple:
        vector = rng.normal(size=3)
        vector[2] = abs(vector[2]) * 0.8 + 0.05
        return tuple(vector / np.linalg.norm(vector))

    def colour(strength: float) -> tuple:
        warmth = rng.normal(0, 0.12)
        return tuple(float(strength * part * (1 + rng.normal(0, 0.04))) for part in (1 + warmth, 1, 1 - warmth))

    ambient = rng.uniform(0.25, 1.0)
    return {"sky": colour(ambient), "ground": colour(ambient * rng.uniform(0.25, 0.8)),
            "lamp1": direction(), "lamp1_colour": colour(rng.uniform(0, 1.3) * (rng.random() < 0.75)),
            "lamp2": direction(), "lamp2_colour": colour(rng.uniform(0, 0.6) * (rng.random() < 0.4)),
            "shine": float(rng.random() * (rng.random() < 0.5))}


def random_cloth(rng: np.random.Generator) -> tuple[float, float, float]:
    """Linear RGB: dark, light (what washes out against a bright wall), or coloured."""
    kind = rng.random()
    if kind < 0.25:
        return tuple(rng.uniform(0.01, 0.06) * rng.normal(1, 0.1, 3).clip(0.5, 1.5))
    if kind < 0.42:
        return tuple(rng.uniform(0.5, 0.95) * rng.normal(1, 0.04, 3).clip(0.7, 1.3))
    if kind < 0.55:
        return tuple(rng.uniform(0.1, 0.5) * rng.normal(1, 0.05, 3).clip(0.7, 1.3))
    return tuple(np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 1), rng.uniform(0.15, 1))) ** 2.2)


def random_clothes(rng: np.random.Generator) -> dict:
    def often(chance: float) -> float:
        return float(rng.random() < chance) * rng.uniform(0.6, 1)

    tone = rng.uniform(0.7, 1.25)
    return {"recolour": (often(0.6), often(0.6), float(rng.random() < 0.35) * 0.9),
            "upper_colour": random_cloth(rng), "lower_colour": random_cloth(rng), "pattern_colour": random_cloth(rng),
            "hair_colour": _HAIR_COLOURS[rng.integers(len(_HAIR_COLOURS))],
            "pattern": int(rng.integers(1, 7)) if rng.random() < 0.4 else 0,
            "pattern_style": (float(rng.uniform(4, 40)), float(rng.uniform(0.4, 1)), float(rng.random())),
            "skin_tint": tuple(tone * rng.normal(1, 0.06, 3)), "grain": float(rng.uniform(0, 0.3) * (rng.random() < 0.7))}


@dataclass
class View:
    matrix: np.ndarray              # (4, 4) world to camera
    focal: float                    # in halves of the picture's side
    centre: tuple[float, float]     # likewise


def look_at(target: np.ndarray, height: float, yaw: float, pitch: float, roll: float, field: float,
            centre: tuple[float, float]) -> View:
    """A camera that sees ``height`` metres around ``target``; angles in degrees, ``field`` of view too."""
    distance = max(height / 2 / np.tan(np.deg2rad(field) / 2), 0.55)
    axes = poses.rotation([0, 0, 1], roll) @ cameras.rotation(np.deg2rad(yaw), np.deg2rad(pitch))
    matrix = np.eye(4)
    matrix[:3, :3] = axes
    matrix[:3, 3] = -axes @ target + [0, 0, distance]
    return View(matrix, 2 * distance / height, centre)


def random_view(rng: np.random.Generator, framing: str, points: np.ndarray, head: np.ndarray, yaw: float | None = None) -> View:
    """points: (V, 3) of the posed body; head: where it is, metres; yaw: degrees, by chance where not given."""
    low, high = points.min(0), points.max(0)
    size, middle = max(high[2] - low[2], 0.8 * np.ptp(points[:, 0])), (low + high) / 2
    if framing == "face":
        height = rng.uniform(0.34, 0.65)
        target = head - [0, 0, 0.1 * rng.random()]
    elif framing == "bust":
        height = rng.uniform(0.6, 1.15)
        target = head - [0, 0, height * rng.uniform(0.12, 0.35)]
    elif framing == "half":
        height = rng.uniform(0.95, 1.5)
        target = head - [0, 0, height * rng.uniform(0.25, 0.42)]
    elif framing == "full":
        height, target = rng.uniform(1.0, 1.25) * size, middle
    else:
        height, target = rng.uniform(1.25, 1.8) * size, middle
    if yaw is None:
        yaw = rng.normal(0, 38) if rng.random() < 0.68 else rng.uniform(-180, 180)
    pitch = rng.normal(4, 9) if rng.random() < 0.85 else rng.uniform(-25, 50)
    roll = rng.normal(0, 5) if rng.random() < 0.93 else rng.normal(0, 35)
    reach = 0.35 if framing in ("face", "bust", "half") else 0.25
    centre = (rng.uniform(-reach, reach) if rng.random() < 0.7 else 0.0, rng.uniform(-0.2, 0.2))
    return look_at(target, height, yaw, pitch, roll, rng.uniform(18, 62), centre)


def at_a_side(view: View, hand: np.ndarray, head: np.ndarray, rng: np.random.Generator) -> View:
    """The view moved and zoomed so that a hand (3,) meets the side of the picture that it is nearer to, with the head (3,) in it."""
    (across, down), (hand_across, _) = (view.focal * seen[:2] / seen[2] for seen in (view.matrix @ np.append(point, 1) for point in (head, hand)))
    side = np.sign(hand_across - across)
    wanted = side * rng.uniform(0.95, 1.6)  # from the head to the hand, in halves of the picture's side, as all here
    zoom = float(np.clip(wanted / (hand_across - across), 0.7, 2.5))
    centre = side * rng.uniform(0.72, 1.08) - zoom * hand_across, rng.uniform(-0.4, 0.2) - zoom * down
    return View(view.matrix, view.focal * zoom, (float(centre[0]), float(centre[1])))


def apart(alpha: np.ndarray) -> np.ndarray:
    """(H, W) bool: what of a person's alpha (H, W) uint8 the picture's sides and lower edge cut off from the largest part.

    At least a five-hundredth of the picture; nothing where all hangs together.
    """
    _, parts, stats, _ = cv2.connectedComponentsWithStats((alpha > 127).astype("u1"), connectivity=8)
    left, top, width, height, area = stats.T
    cut = (left == 0) | (left + width == alpha.shape[1]) | (top + height == alpha.shape[0])
    cut &= area >= alpha.size / 500
    cut[[0, *(1 + np.argsort(area[1:])[-1:])]] = False  # what is nobody, and the largest part
    return cut[parts]


def bare_limbs(rng: np.random.Generator, skin: poses.Skin) -> np.ndarray:
    """(V,) where sleeves and trouser legs are replaced by skin."""
    bare = np.zeros(len(skin.mesh.positions), "f4")
    arms, legs = rng.random(), rng.random()
    if arms < 0.4:
        bones = ["Forearm", "Hand"] + (["UpperArm"] if arms < 0.18 else [])
        bare = np.maximum(bare, skin.weight_of(*[f"{side} {bone}" for side in "LR" for bone in bones]))
    if legs < 0.25:
        bones = ["Calf"] + (["Thigh"] if legs < 0.08 else [])
        bare = np.maximum(bare, skin.weight_of(*[f"{side} {bone}" for side in "LR" for bone in bones]))
    return np.clip(bare * 3 - 1, 0, 1).astype("f4")  # a sharp hem


@dataclass
class Motion:
    """What is chosen for a picture's pose: its framing, and a shown hand's arm."""

    pose: poses.Pose
    framing: str | None = None                      # by chance, later, where None
    instead: dict[int, np.ndarray] | None = None    # own rotations of bones that replace the pose's
    yaw: float | None = None                        # of the camera, degrees
    shown: str | None = None                        # the side whose hand is shown
    comes_in: bool = False                          # that hand is cut off from its body by a side of the picture


# ------------------------------------------------------------------------------------------------- one picture

class Person:
    """One avatar ready to be drawn, in any number of poses and clothes."""

    def __init__(self, name: str) -> None:
        self.mesh, self.look = appearance.load(name)
        self.skin = poses.Skin(self.mesh)

    def random_picture(self, renderer, rng: np.random.Generator, extras: np.random.Generator | None,
                       gestures: np.random.Generator | None = None, cables: np.random.Generator | None = None, grow=hair.grow,
                       framings: tuple[float, ...] = _FRAMING_WEIGHTS, coming_in: bool = False) -> tuple[np.ndarray, str]:
        """A picture of the renderer's size, premultiplied RGBA, and its framing.

        extras: source of what people wear on their heads, hold to their faces and sit in; None for none of it.
        gestures: source of raised hands and of fingers that bend one by one, likewise.
        cables: source of cables of earphones and headsets, likewise.
        grow: gives the strands of hair; framings: how often each of FRAMINGS is shown, where no gesture decides.
        coming_in: a hand comes in from a side; takes ``gestures``.
        """
        mesh, look = self.mesh, self.look
        pose = poses.random_pose(rng)
        raised = None if coming_in or extras is None or extras.random() > 0.1 else "LR"[extras.integers(2)]
        if raised:
            pose = self._hand_to_face(pose, raised, extras)
        if gestures is None:
            motion = Motion(pose)
        else:
            motion = self._hand_coming_in(pose, gestures) if coming_in else self._gesture(pose, gestures, allowed=not raised)
        placed = self.skin.transforms(motion.pose, motion.instead)
        loose = np.where(mesh.positions[:, 2] > look.waist, rng.uniform(-0.002, 0.022), rng.uniform(-0.002, 0.016))
        loose *= (look.kinds == appearance.BODY) * (rng.random() < 0.5) * (1 - self.skin.weight_of("L Hand", "R Hand"))
        body = mesh.positions + mesh.normals * loose[:, None].astype("f4")
        points, normals = self.skin.apply(placed, body)
        stature = np.diag([*rng.uniform(0.9, 1.14, 2), 1.0])
        if rng.random() < 0.07 and not motion.shown:  # lying on the back, the belly or a side
            stature = poses.rotation([0, 0, 1], rng.uniform(0, 360)) @ poses.rotation([1, 0, 0], rng.choice([-90, 90])) \
                @ poses.rotation([0, 0, 1], rng.uniform(-90, 90)) @ stature
        points, normals = (points @ stature.T).astype("f4"), (normals @ stature.T).astype("f4")
        world = np.eye(4)
        world[:3, :3] = stature
        placed = world @ placed

        head_bone = mesh.bone("Head")
        head = (placed[head_bone] @ np.append(mesh.bone_heads[head_bone] + [0, 0, 0.08], 1))[:3]
        framing = motion.framing or str(rng.choice(FRAMINGS, p=framings))
        middle = head
        if motion.shown:
            palm = (placed[mesh.bone(f"{motion.shown} Hand")] @ np.append(self._fingers(motion.shown), 1))[:3]
            if not motion.comes_in:  # both are looked at
                middle = head + np.clip(0.4 * (palm - head), -0.2, 0.2) * [1, 0, 1]
        view = random_view(rng, framing, points, middle, motion.yaw)
        if motion.comes_in:
            view = at_a_side(view, palm, head, gestures)
        clothes, light = random_clothes(rng), random_light(rng)
        if look.camera is None and gestures is not None and gestures.random() < _OWN_CLOTHES:
            clothes["recolour"] = (0.0, 0.0, clothes["recolour"][2])
        renderer.set(**clothes, **light)
        renderer.begin(view.matrix, view.focal, view.centre)
        bare = bare_limbs(rng, self.skin)
        renderer.person(mesh, look, points, normals, bare * look.parts[:, 0] if len(look.parts) else bare)

        if rng.random() < 0.30:
            self._carry(renderer, rng, placed)
        hidden_above = np.inf if extras is None else self._dress_up(renderer, extras, placed, motion.pose, raised)
        if cables is not None and cables.random() < _CABLES:
            self._cables(renderer, cables, placed)
        if len(look.hair_roots) and rng.random() < 0.8:
            albedo = look.colours.astype("f8") ** 2.2
            if clothes["recolour"][2]:
                albedo = np.array(clothes["hair_colour"]) * (0.3 + 3 * albedo.mean(1, keepdims=True))
            strands = grow(mesh, look.hair_roots[mesh.positions[look.hair_roots, 2] < hidden_above], albedo, rng)
            if strands is not None:
                renderer.strands(*strands.ribbons(placed[head_bone]), strands.width)
        return renderer.finish(), COMING_IN if motion.comes_in else framing

    def _gesture(self, pose: poses.Pose, rng: np.random.Generator, allowed: bool) -> Motion:
        """The pose with fingers of its own, and often, where ``allowed`` and seen from near, with a hand that shows something."""
        framing = str(rng.choice(FRAMINGS, p=_FRAMING_WEIGHTS))
        for side, _ in poses.SIDES:
            if rng.random() < 0.75:
                pose = pose | hands.random_fingers(rng, side)
        if not allowed or framing not in NEAR_FRAMINGS or rng.random() > _GESTURES:
            return Motion(pose, framing)
        shown = "LR"[rng.integers(2)]
        yaw, name = rng.normal(0, 25), hands.random_gesture(rng)
        near = {"face": 1.0, "bust": 0.5, "half": 0.0}[framing]
        pose, instead = hands.raised(self.skin, pose, shown, name, rng, yaw + rng.normal(0, 12), near)
        if rng.random() < 0.2:
            pose, other = hands.raised(self.skin, pose, "RL"["LR".index(shown)], name if rng.random() < 0.5 else hands.random_gesture(rng), rng, yaw, near)
            instead = instead | other
        return Motion(pose, framing, instead, yaw, shown)

    def _hand_coming_in(self, pose: poses.Pose, rng: np.random.Generator) -> Motion:
        """The pose with a hand far out to its side, to be seen from near."""
        shown, yaw, framing = "LR"[rng.integers(2)], rng.normal(0, 22), str(rng.choice(["face", "bust"], p=[0.4, 0.6]))
        pose, instead = hands.raised(self.skin, pose, shown, hands.random_gesture(rng), rng, yaw + rng.normal(0, 12), 0.0, rng.uniform(0.05, 0.35))
        return Motion(pose, framing, instead, yaw, shown, comes_in=True)

    def _paint(self, renderer, rng: np.random.Generator) -> None:
        """Chooses colour and pattern of the next solid."""
        renderer.set(recolour=(1.0, 1.0, 0.0), waist=-10.0, upper_colour=random_cloth(rng),
                     pattern=int(rng.integers(1, 7)) if rng.random() < 0.3 else 0, skin_tint=(1.0, 1.0, 1.0))

    @staticmethod
    def _draw(renderer, solid: solids.Solid, matrix: np.ndarray) -> None:
        """Draws a solid of the bind pose where ``matrix`` (4, 4) takes its bone."""
        vertices, normals, triangles = solid
        renderer.solid(vertices @ matrix[:3, :3].T + matrix[:3, 3], normals @ matrix[:3, :3].T, triangles, bind=vertices)

    def _in_hand(self, solid: solids.Solid, side: str, turn: np.ndarray) -> tuple[solids.Solid, int]:
        """The solid turned and moved to a palm of the bind pose, and the hand's bone."""
        return solids.moved(solid, self.mesh.joint(f"{side} Hand") * 0.3 + self._fingers(side) * 0.7, turn), self.mesh.bone(f"{side} Hand")

    def _fingers(self, side: str) -> np.ndarray:
        """(3,) where the fingers of a hand begin in the bind pose."""
        known = self.mesh.bone(f"{side} Finger2") is not None
        return self.mesh.joint(f"{side} Finger2" if known else f"{side} Hand")

    def _carry(self, renderer, rng: np.random.Generator, placed: np.ndarray) -> None:
        """Draws something held in a hand, worn on the back, or a skirt; what a person carries belongs to them."""
        mesh = self.mesh
        kind = rng.random()
        self._paint(renderer, rng)
        if kind < 0.6:
            side = "LR"[rng.integers(2)]
            solid, bone = self._in_hand(solids.held(rng), side, poses.rotation(rng.normal(size=3), rng.uniform(0, 60)))
        elif kind < 0.78:
            bone = mesh.bone("Spine2")
            solid = solids.moved(solids.backpack(rng), mesh.joint("Spine2") + [0, 0.16, rng.uniform(-0.1, 0.05)])
        else:
            bone = mesh.bone("Pelvis") or 0
            hips = mesh.positions[np.abs(mesh.positions[:, 2] - mesh.joint("L Thigh")[2]) < 0.06]
            hips = hips[np.abs(hips[:, 0]) < 0.24]
            radius = float(np.abs(hips[:, 0]).max()) if len(hips) else 0.18
            solid = solids.moved(solids.skirt(rng, radius, rng.uniform(0.3, 0.85)), [0, hips[:, 1].mean() if len(hips) else 0, self.look.waist])
        self._draw(renderer, solid, placed[bone])

    def _cables(self, renderer, rng: np.random.Generator, placed: np.ndarray) -> None:
        """Draws a cable from one ear to the chest, the shoulder or the back, or one from each that meet at the chest."""
        middle, size = headgear.skull(self.mesh, self.skin)
        head, trunk = placed[self.mesh.bone("Head")], placed[self.mesh.bone("Spine2")]
        self._paint(renderer, rng)
        if rng.random() < 0.5:
            renderer.set(upper_colour=(0.015, 0.015, 0.017), pattern=0)
        sides = (-1, 1) if rng.random() < 0.3 else (rng.choice([-1, 1]),)
        across = rng.normal(0, 0.02) if len(sides) == 2 else sides[0] * rng.uniform(0.02, 0.22)
        front = -rng.uniform(0.04, 0.16) if rng.random() < 0.8 else 0.1
        end = trunk @ [*self.mesh.joint("Spine2") + [across, front, rng.uniform(-0.1, 0.25)], 1]
        for side in sides:
            ear = head @ [*middle + [side * size[0] * 1.02, 0.0, rng.uniform(-0.4, 0.1) * size[2]], 1]
            outwards = side * head[:3, 0] / np.linalg.norm(head[:3, 0])
            self._draw(renderer, headgear.cable(rng, ear[:3], end[:3], outwards), np.eye(4))

    def _hand_to_face(self, pose: poses.Pose, side: str, rng: np.random.Generator) -> poses.Pose:
        """The pose with that hand near the face: the best of some random bent arms."""
        hand, head = self.mesh.bone(f"{side} Hand"), self.mesh.bone("Head")
        fingers, face = np.append(self._fingers(side), 1), np.append(self.mesh.joint("Head") + [0, -0.13, 0.05], 1)
        best, nearest = pose, np.inf
        for _ in range(10):
            bent = pose | {f"{side} arm lower": rng.uniform(0, 50), f"{side} arm swing": rng.uniform(10, 70), f"{side} arm twist": rng.uniform(-50, 60),
                           f"{side} elbow": rng.uniform(90, 150), f"{side} elbow up": rng.uniform(0, 1.5)}
            placed = self.skin.transforms(bent)
            reach = np.linalg.norm((placed[hand] @ fingers - placed[head] @ face)[:3])
            if reach < nearest:
                best, nearest = bent, reach
        return best

    def _dress_up(self, renderer, rng: np.random.Generator, placed: np.ndarray, pose: poses.Pose, raised: str | None) -> float:
        """Draws things on the head, large things in a hand and a wheelchair; returns above which height hair is hidden."""
        mesh, hidden_above = self.mesh, np.inf
        if rng.random() < 0.25 and not (self.look.kinds == appearance.EQUIPMENT).any():
            middle, size = headgear.skull(mesh, self.skin)
            for _ in range(1 if rng.random() < 0.85 else 2):
                worn = headgear.random_worn(rng, size)
                self._paint(renderer, rng)
                self._draw(renderer, solids.moved(worn.solid, middle), placed[mesh.bone("Head")])
                hidden_above = min(hidden_above, middle[2] + worn.hides_above)
        if raised or rng.random() < 0.08:
            solid = solids.held(rng) if raised and rng.random() < 0.6 else solids.held_large(rng)
            self._paint(renderer, rng)
            solid, bone = self._in_hand(solid, raised or "LR"[rng.integers(2)], poses.rotation(rng.normal(size=3), rng.uniform(0, 50)))
            self._draw(renderer, solid, placed[bone])
        if pose["L hip"] > 55 and pose["R hip"] > 55 and rng.random() < 0.12:
            self._paint(renderer, rng)
            self._draw(renderer, solids.moved(solids.wheelchair(rng), mesh.joint("L Thigh") * [0, 1, 1] + [0, 0.02, 0]), placed[mesh.bone("Pelvis") or 0])
        return float(hidden_above)


def random_thing(renderer, rng: np.random.Generator, pictures: list[np.ndarray]) -> np.ndarray:
    """(SIDE, SIDE, 4) premultiplied RGBA of something that is not a person."""
    vertices, normals, triangles = solids.furniture(rng)
    clothes = random_clothes(rng) | {"recolour": (1.0, 1.0, 0.0), "skin_tint": (1.0, 1.0, 1.0), "waist": float(rng.normal(0, 0.4))}
    clothes["pattern_style"] = (clothes["pattern_style"][0], clothes["pattern_style"][1], 1.0)
    renderer.set(**clothes, **random_light(rng))
    textured = rng.random() < 0.45
    if textured:  # the look of real things, cloth among them, on what is no person
        renderer.picture(pictures[rng.integers(len(pictures))])
        scale = rng.uniform(0.15, 1.2)
        renderer.set(wrap=(scale, -scale, rng.random(), rng.random()))
    reach = float(np.linalg.norm(vertices - vertices.mean(0), axis=1).max())
    view = look_at(vertices.mean(0), 2 * reach / rng.uniform(0.7, 1.6), rng.uniform(-180, 180), rng.normal(9, 12), 0.0,
                   rng.uniform(20, 60), (rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)))
    renderer.begin(view.matrix, view.focal, view.centre)
    renderer.solid(vertices, normals, triangles, textured=textured)
    return renderer.finish()


# ------------------------------------------------------------------------------------------------------ shards

def save(path: Path, pictures: list[np.ndarray], **extra) -> None:
    """Writes pictures cropped to what they show: all their bytes in ``.bin``, where each lies in ``.npz``."""
    boxes, chunks, offset = [], [], 0
    for picture in pictures:
        left, top, width, height = cv2.boundingRect(picture[..., 3])
        chunk = np.ascontiguousarray(picture[top:top + height, left:left + width])
        boxes.append((offset, top, left, height, width))
        chunks.append(chunk.tobytes())
        offset += chunk.nbytes
    with paths.replacing(path.with_suffix(".bin")) as partial:
        partial.write_bytes(b"".join(chunks))
    with paths.replacing(path.with_suffix(".npz")) as partial:
        np.savez(partial, boxes=np.array(boxes, "i8"), side=np.array(pictures[0].shape[0]), **extra)


class Shard:
    """Reads pictures that ``save`` wrote, without holding them in memory."""

    def __init__(self, path: Path) -> None:
        with np.load(path.with_suffix(".npz")) as data:
            self.boxes, self.side = data["boxes"], int(data["side"])
            self.framings = data["framings"] if "framings" in data.files else None
            self.avatars = data["avatars"] if "avatars" in data.files else None  # (N,) names
        self._bytes = np.memmap(path.with_suffix(".bin"), np.uint8, "r")

    def __len__(self) -> int:
        return len(self.boxes)

    def crop(self, index: int) -> tuple[np.ndarray, int, int]:
        """The picture's content (h, w, 4) uint8 premultiplied, and its top and left in the whole picture."""
        offset, top, left, height, width = (int(value) for value in self.boxes[index])
        return self._bytes[offset:offset + height * width * 4].reshape(height, width, 4), top, left


def name_of(shard: int, held_out: bool, things: bool = False) -> str:
    return f"{'held-out' if held_out else 'train'}-{'things' if things else 'people'}-{shard:04d}"


def number_of(path: Path) -> int:
    """Number of a shard by its file's name."""
    return int(path.stem[-4:])


def shards(held_out: bool, things: bool = False) -> list[Path]:
    """All complete shards so far."""
    pattern = name_of(0, held_out, things)[:-4] + "*.npz"
    return sorted(folder().glob(pattern))


def _textures(rng: np.random.Generator, held_out: bool) -> list[np.ndarray]:
    """Pictures to wrap around things: clothes from previews and textures, and pieces of panoramas, uint8 RGB."""
    from . import backgrounds

    pictures = []
    names = paths.avatar_names(held_out)
    for name in rng.choice(names, 12, replace=True):
        _, look = appearance.load(str(name))
        pixels, _ = cameras.project(appearance.load(str(name))[0].positions, look.camera)
        left, top = pixels.min(0).astype(int)
        right, bottom = pixels.max(0).astype(int)
        cut = look.picture[max(0, top):bottom, max(0, left):right]
        height, width = cut.shape[:2]
        pictures.append(cut[int(height * 0.25):int(height * 0.6), int(width * 0.3):int(width * 0.7)])
    if not held_out:
        pictures += [valid.cloth(str(name)) for name in rng.choice(paths.avatar_names(False, "valid"), 5)]
    for path in rng.choice(paths.places(held_out), 3):
        panorama = backgrounds.load_panorama(path)
        pictures.append((np.clip(panorama * 0.25 / max(np.median(panorama), 1e-3), 0, 1) ** (1 / 2.2) * 255).astype("u1"))
    return pictures


def _cast(rng: np.random.Generator, shard: int, held_out: bool) -> np.ndarray:
    """Names of the avatars of a shard."""
    if held_out and shard >= COMING_IN_FROM:
        return rng.permutation([name for library in paths.LIBRARIES for name in paths.avatar_names(True, library)])
    if held_out:
        return rng.permutation(paths.avatar_names(True, "valid" if shard == HELD_OUT_VALID else "rocketbox"))[:AVATARS_PER_SHARD]
    textured = round(VALID_SHARE * AVATARS_PER_SHARD)
    return np.concatenate([rng.permutation(paths.avatar_names(False))[:AVATARS_PER_SHARD - textured],
                           rng.permutation(paths.avatar_names(False, "valid"))[:textured]])


def _shown(coming_in: bool, draw: Callable[[], tuple[np.ndarray, str]]) -> tuple[np.ndarray, str]:
    """The first picture that shows somebody, and that of a hand that comes in one that does, if there is one soon."""
    tries = 0
    while True:
        picture, framing = draw()
        tries += 1
        if (picture[..., 3] > 127).mean() > 0.004 and (not coming_in or tries >= _COMING_IN_TRIES or apart(picture[..., 3]).any()):
            return picture, framing


def make_shard(shard: int, held_out: bool = False, progress: bool = True) -> None:
    """One shard of people and one of things; everything in it follows from its number."""
    from .renderer import Renderer

    cv2.setNumThreads(1)
    rng = np.random.default_rng([2026, shard, int(held_out)])
    # The first held-out shards stay as they were before there were extras and gestures: scores can be compared over time.
    extras = None if held_out and shard == 0 else np.random.default_rng([2028, shard, int(held_out)])
    gestures = None if held_out and shard < HELD_OUT_VALID else np.random.default_rng([2029, shard, int(held_out)])
    cables = None if held_out else np.random.default_rng([2030, shard])
    coming_in = shard >= COMING_IN_FROM
    renderer = Renderer(SIDE)
    chosen = _cast(rng, shard, held_out)
    people, framings, avatars, things = [], [], [], []
    each = -(-PEOPLE_PER_SHARD // len(chosen))
    with tqdm(total=PEOPLE_PER_SHARD, desc=f"shard {shard}", disable=not progress) as bar:
        for name in chosen:
            person = Person(str(name))
            renderer.picture(person.look.picture, shrinks=person.look.camera is None)
            for _ in range(min(each, PEOPLE_PER_SHARD - len(people))):
                picture, framing = _shown(coming_in, lambda: person.random_picture(renderer, rng, extras, gestures, cables, coming_in=coming_in))
                people.append(picture.copy())
                framings.append(framing)
                avatars.append(str(name))
                bar.update()
    textures = _textures(rng, held_out)
    while len(things) < THINGS_PER_SHARD:
        picture = random_thing(renderer, rng, textures)
        if (picture[..., 3] > 127).mean() > 0.01:
            things.append(picture.copy())
    save(folder() / name_of(shard, held_out, things=True), things)
    save(folder() / name_of(shard, held_out), people, framings=np.array(framings), avatars=np.array(avatars))


def _make(job: tuple[int, bool]) -> int:
    make_shard(*job, progress=job[0] % 2 == 0)
    return job[0]


def run(numbers: range, processes: int, held_out: bool) -> None:
    """Make the shards that are not there yet, several at once."""
    jobs = [(number, held_out) for number in numbers if not (folder() / f"{name_of(number, held_out)}.npz").exists()]
    os.nice(5)
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
        for number in pool.imap_unordered(_make, jobs):
            print(f"shard {number} written")
