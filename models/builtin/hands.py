"""Hands that show something: their fingers, and arms that hold them where they are seen.

Such hands are what a network takes for background most easily: they are near the camera, far from the body and
have thin parts with gaps between them.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .meshes import Mesh
from .poses import SIDES, Pose, Skin, between, rotation

_TRIES = 8  # random elbows and wrists, of which the most natural is taken
_SIGNS = dict(SIDES)


@dataclass
class Gesture:
    """Directions are the person's: X away from the body's middle, -Y to the front, Z up."""

    curls: tuple[float, float, float, float, float]  # degrees per joint: thumb to little finger
    along: tuple[float, float, float]   # where the fingers point, or would if they were straight
    palm: tuple[float, float, float]    # where the palm looks
    low: tuple[float, float, float]     # between these lies the palm, metres from the middle of the face
    high: tuple[float, float, float]


GESTURES = {
    "palm": Gesture((0, 2, 2, 4, 6), (0.0, -0.1, 1.0), (0.0, -1.0, -0.1), (-0.05, -0.5, -0.3), (0.32, -0.2, 0.05)),
    "wave": Gesture((0, 5, 5, 6, 8), (0.35, 0.0, 1.0), (-0.2, -1.0, 0.0), (0.15, -0.35, -0.2), (0.5, -0.05, 0.2)),
    "back of the hand": Gesture((10, 12, 12, 14, 16), (-0.3, 0.0, 1.0), (-0.2, 1.0, 0.0), (-0.05, -0.4, -0.35), (0.25, -0.22, 0.0)),
    "face": Gesture((5, 20, 24, 28, 32), (-0.5, 0.1, 1.0), (-0.6, 1.0, 0.2), (-0.02, -0.16, -0.13), (0.12, -0.1, 0.06)),
    "point up": Gesture((45, -2, 78, 80, 80), (0.0, -0.1, 1.0), (-0.3, -1.0, 0.0), (0.0, -0.45, -0.35), (0.3, -0.2, 0.0)),
    "point": Gesture((35, -2, 75, 78, 78), (-0.1, -1.0, 0.1), (-1.0, 0.0, -0.4), (0.0, -0.55, -0.35), (0.3, -0.35, -0.05)),
    "thumb": Gesture((-12, 82, 82, 82, 82), (-0.2, -1.0, 0.0), (-1.0, 0.2, 0.0), (0.0, -0.5, -0.4), (0.3, -0.3, -0.1)),
    "fist": Gesture((45, 80, 80, 80, 80), (0.0, -0.2, 1.0), (-0.3, -1.0, 0.0), (0.0, -0.45, -0.35), (0.3, -0.2, 0.0)),
    "two fingers": Gesture((45, -2, -2, 78, 80), (0.0, -0.1, 1.0), (-0.1, -1.0, 0.0), (0.0, -0.4, -0.3), (0.3, -0.2, 0.05)),
    "palm up": Gesture((0, 10, 12, 14, 16), (0.3, -1.0, 0.3), (-0.2, -0.1, 1.0), (0.05, -0.5, -0.42), (0.35, -0.3, -0.2)),
    "tell": Gesture((5, 15, 18, 20, 22), (-0.2, -0.8, 0.6), (-1.0, 0.0, 0.1), (-0.05, -0.5, -0.42), (0.3, -0.25, -0.15)),
}
_CHANCES = {"palm": 0.2, "wave": 0.2, "back of the hand": 0.06, "face": 0.16, "point up": 0.08, "point": 0.07, "thumb": 0.06, "fist": 0.04,
            "two fingers": 0.05, "palm up": 0.03, "tell": 0.05}


def random_fingers(rng: np.random.Generator, side: str) -> Pose:
    """Angles of a hand at rest or around something: each finger a little different."""
    kind, curls = rng.random(), np.zeros(5)
    if kind < 0.35:    # relaxed, more towards the little finger
        curls[1:] = rng.uniform(0, 25) + rng.uniform(0, 8) * np.arange(4) + rng.normal(0, 4, 4)
    elif kind < 0.55:  # open
        curls[1:] = rng.uniform(-6, 10, 4)
    elif kind < 0.75:  # closed
        curls[1:] = rng.uniform(55, 85) + rng.normal(0, 5, 4)
    else:              # anything
        curls[1:] = rng.uniform(-5, 80) + rng.normal(0, 18, 4)
    curls[0] = rng.uniform(-12, 25) if kind < 0.55 else rng.uniform(5, 45)
    spread = rng.uniform(-2, 14) if curls[1:].max() < 30 else rng.uniform(-1, 4)
    return fingers(side, np.clip(curls, -12, 88), spread)


def fingers(side: str, curls: np.ndarray, spread: float) -> Pose:
    """Angles in degrees: ``curls`` (5,) of each joint from the thumb to the little finger, ``spread`` between fingers."""
    return {f"{side} fingers": 0.0, f"{side} spread": float(spread)} | {f"{side} finger {index}": float(curl) for index, curl in enumerate(curls)}


def random_gesture(rng: np.random.Generator) -> str:
    return str(rng.choice(list(_CHANCES), p=list(_CHANCES.values())))


def frame(mesh: Mesh, side: str) -> np.ndarray:
    """(3, 3): columns are where a hand's fingers point, its thumb's side and where its palm looks, in the bind pose."""
    along = mesh.joint(f"{side} Finger2") - mesh.joint(f"{side} Hand")
    return _axes(along, mesh.joint(f"{side} Finger1") - mesh.joint(f"{side} Finger4"), side)


def _axes(along: np.ndarray, across: np.ndarray, side: str) -> np.ndarray:
    """(3, 3) orthonormal columns: along, across made perpendicular to it, palm."""
    along = along / np.linalg.norm(along)
    across = across - (across @ along) * along
    across /= np.linalg.norm(across)
    return np.stack([along, across, _SIGNS[side] * np.cross(along, across)], 1)


def _twist(matrix: np.ndarray, axis: np.ndarray) -> float:
    """Degrees by which a rotation turns about ``axis``, apart from what it turns that axis itself."""
    straight = between(matrix @ axis, axis) @ matrix
    sine = np.array([straight[2, 1] - straight[1, 2], straight[0, 2] - straight[2, 0], straight[1, 0] - straight[0, 1]]) @ axis / 2
    return float(np.rad2deg(np.arctan2(sine, (np.trace(straight) - 1) / 2)))


def _reach(mesh: Mesh, above: np.ndarray, side: str, wrist: np.ndarray, hand: np.ndarray, pole: np.ndarray) -> tuple[dict[int, np.ndarray], float]:
    """Own rotations of an arm's bones, and how unnatural its wrist is (degrees beyond what is easy).

    above: (4, 4) of the bone that carries the arm; wrist: (3,) where it shall be; hand: (3, 3) the hand's rotation from
    the bind pose; pole: (3,) where the elbow points.
    """
    joints = [mesh.joint(f"{side} {bone}") for bone in ("UpperArm", "Forearm", "Hand")]
    upper, fore = joints[1] - joints[0], joints[2] - joints[1]
    long, short = np.linalg.norm(upper), np.linalg.norm(fore)
    shoulder = above[:3, :3] @ joints[0] + above[:3, 3]
    towards = wrist - shoulder
    distance = np.clip(np.linalg.norm(towards), abs(long - short) + 0.1, 0.99 * (long + short))
    towards = towards / np.linalg.norm(towards)
    start = (long ** 2 - short ** 2 + distance ** 2) / (2 * distance)
    pole = pole - (pole @ towards) * towards
    elbow = start * towards + np.sqrt(max(long ** 2 - start ** 2, 0.0)) * pole / np.linalg.norm(pole)
    turned_upper = between(above[:3, :3] @ upper, elbow) @ above[:3, :3]
    turned_fore = between(turned_upper @ fore, distance * towards - elbow) @ turned_upper
    axis = fore / short
    twist = _twist(turned_fore.T @ hand, axis)
    # Forearms turn along their length: half of it at the elbow.
    turned_fore = turned_fore @ rotation(axis, twist / 2)
    own_hand = turned_fore.T @ hand
    bend = np.rad2deg(np.arccos(np.clip((own_hand @ axis) @ axis, -1, 1)))
    own = {"UpperArm": above[:3, :3].T @ turned_upper, "Forearm": turned_upper.T @ turned_fore, "Hand": own_hand}
    strain = max(0.0, bend - 35) + max(0.0, abs(twist) - 80)
    return {mesh.bone(f"{side} {bone}"): matrix for bone, matrix in own.items()}, strain


def raised(skin: Skin, pose: Pose, side: str, name: str, rng: np.random.Generator, facing: float, near: float,
           beside: float = 0.0) -> tuple[Pose, dict[int, np.ndarray]]:
    """The pose with other fingers, and rotations of the arm's bones that replace the pose's own.

    facing: degrees by which what the hand is shown to lies to the person's left of -Y; near: 0 to 1, how much closer
    to the face than usual, for close views; beside: how many metres farther out to its side.
    """
    mesh, gesture, sign = skin.mesh, GESTURES[name], _SIGNS[side]
    curls = np.clip(np.array(gesture.curls) + rng.normal(0, 5, 5), -14, 88)
    spread = rng.uniform(0, 16) if max(gesture.curls[1:]) < 15 else rng.uniform(-1, 5)
    pose = pose | fingers(side, curls, spread)
    placed = skin.transforms(pose)
    above, head = placed[mesh.bone_parents[mesh.bone(f"{side} UpperArm")]], placed[mesh.bone("Head")]
    face = (head @ np.append(mesh.joint("Head") + [0, 0, 0.07], 1))[:3]
    turn, mirror = rotation(np.array([0, 0, 1.0]), facing), np.array([sign, 1, 1])
    bind = frame(mesh, side)
    found: list[tuple[float, dict[int, np.ndarray]]] = []
    for _ in range(_TRIES):
        spot = rng.uniform(gesture.low, gesture.high) * [1 - 0.4 * near, 1 - 0.2 * near, 1 - 0.5 * near] + [beside, 0, 0]
        along, palm = (turn @ (np.array(direction) * mirror + rng.normal(0, 0.17, 3)) for direction in (gesture.along, gesture.palm))
        axes = _axes(along, sign * np.cross(palm, along), side)
        wrist = face + turn @ (spot * mirror) - axes[:, 0] * 0.08
        pole = np.array([sign * rng.uniform(0.2, 1.2), rng.uniform(-0.1, 0.5), -1.0])
        own, strain = _reach(mesh, above, side, wrist, axes @ bind.T, pole)
        found.append((strain, own))
        if strain < 15:
            break
    return pose, min(found, key=lambda entry: entry[0])[1]
