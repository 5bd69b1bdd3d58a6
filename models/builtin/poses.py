"""Poses of the skeleton: random ones for training, and the skinning that applies them.

A pose is a dictionary of angles in degrees, so that poses can be mixed for animation. Rotations turn about a
bone's head in the axes of the bind pose: X to the person's left, -Y to the front, Z up.
"""
from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from .meshes import Mesh

Pose = dict[str, float]
_X, _Y, _Z = np.eye(3)
SIDES = (("L", 1.0), ("R", -1.0))
_FANNED = (1.0, 0.25, -0.4, -1.1)  # how far each finger, from the first to the little one, goes towards the thumb when they spread


def rotation(axis: np.ndarray, degrees: float) -> np.ndarray:
    """(3, 3) rotation about an axis by Rodrigues' formula."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(3, 3): the smallest rotation that takes one direction to another."""
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(start, end)
    length = np.linalg.norm(axis)
    return np.eye(3) if length < 1e-9 else rotation(axis, np.rad2deg(np.arctan2(length, start @ end)))


def _arm(rng: np.random.Generator, seated: bool) -> tuple[float, float, float, float]:
    """Lowering, forward swing, elbow bend and twist of an arm; 0 lowering is the bind pose, 45 hangs down."""
    between = rng.uniform
    kind = rng.choice(6, p=[0.36, 0.22, 0.10, 0.10, 0.12, 0.10] if not seated else [0.1, 0.5, 0.08, 0.05, 0.17, 0.1])
    if kind == 0:    # hanging
        return between(20, 48), between(-20, 25), between(0, 60), between(-25, 25)
    if kind == 1:    # bent: typing, holding something, a hand to the chin
        return between(5, 45), between(0, 50), between(70, 140), between(-50, 60)
    if kind == 2:    # raised: waving, stretching
        return between(-80, 0), between(-20, 50), between(0, 140), between(-60, 60)
    if kind == 3:    # on the hip
        return between(0, 30), between(-40, 0), between(60, 100), between(30, 90)
    if kind == 4:    # crossed before the body
        return between(35, 50), between(15, 45), between(85, 120), between(30, 80)
    return between(-50, 50), between(-40, 100), between(0, 140), between(-80, 80)  # anything


def random_pose(rng: np.random.Generator) -> Pose:
    """A plausible pose: standing, walking, sitting, crouching or bending, with any arms."""
    pose: Pose = {}
    posture = rng.choice(["stand", "walk", "sit", "crouch"], p=[0.52, 0.16, 0.24, 0.08])
    for side, _ in SIDES:
        lower, swing, elbow, twist = _arm(rng, posture == "sit")
        pose |= {f"{side} arm lower": lower, f"{side} arm swing": swing, f"{side} elbow": elbow,
                 f"{side} arm twist": twist, f"{side} shoulder": rng.uniform(-8, 5),
                 f"{side} elbow up": rng.uniform(-0.6, 0.6), f"{side} elbow in": rng.uniform(0, 0.5),
                 f"{side} hand twist": rng.uniform(-60, 60), f"{side} hand side": rng.uniform(-30, 30),
                 f"{side} hand bend": rng.uniform(-30, 30), f"{side} fingers": rng.uniform(0, 50)}
        spread = rng.uniform(-9, 14)
        if posture == "sit":
            hip, knee, spread = rng.uniform(60, 100), rng.uniform(40, 110), rng.uniform(-12, 28)
        elif posture == "crouch":
            hip, knee = rng.uniform(20, 120), rng.uniform(30, 140)
        elif posture == "walk":
            hip, knee = rng.uniform(-28, 38), rng.uniform(0, 55)
        else:
            hip, knee = rng.normal(2, 6), abs(rng.normal(0, 7))
        pose |= {f"{side} hip": hip, f"{side} hip spread": spread, f"{side} knee": knee,
                 f"{side} foot": rng.uniform(-10, 20)}
    if posture == "sit" and rng.random() < 0.3:  # legs crossed
        pose["L hip spread"] = rng.uniform(-25, -8)
    pose |= {"head turn": rng.normal(0, 27), "head nod": rng.normal(0, 13), "head tilt": rng.normal(0, 9)}
    pose |= {"spine bend": rng.normal(4, 9), "spine tilt": rng.normal(0, 7), "spine turn": rng.normal(0, 12)}
    if rng.random() < 0.12:
        pose["spine bend"] = rng.uniform(20, 60)
    return pose


def _rotations(mesh: Mesh, pose: Pose) -> dict[int, np.ndarray]:
    """Each moved bone's own rotation, (3, 3), in the axes of the bind pose."""
    turned: dict[int, np.ndarray] = {}

    def turn(bone: str, matrix: np.ndarray) -> None:
        index = mesh.bone(bone)
        if index is not None:
            turned[index] = matrix @ turned.get(index, np.eye(3))

    def angle(name: str) -> float:
        return pose.get(name, 0.0)

    for side, sign in SIDES:
        shoulder, elbow, wrist = (mesh.joint(f"{side} {bone}") for bone in ("UpperArm", "Forearm", "Hand"))
        forearm, upper = (wrist - elbow) / np.linalg.norm(wrist - elbow), (elbow - shoulder) / np.linalg.norm(elbow - shoulder)
        turn(f"{side} Clavicle", rotation(_Y, sign * angle(f"{side} shoulder")))
        # The elbow bends the forearm towards the front, a little up or down and inwards.
        bend_to = -_Y + angle(f"{side} elbow up") * _Z - angle(f"{side} elbow in") * sign * _X
        turn(f"{side} Forearm", rotation(np.cross(forearm, bend_to), angle(f"{side} elbow")))
        turn(f"{side} UpperArm", rotation(_X, -angle(f"{side} arm swing")) @ rotation(_Y, sign * angle(f"{side} arm lower"))
             @ rotation(upper, sign * angle(f"{side} arm twist")))
        turn(f"{side} Hand", rotation(forearm, angle(f"{side} hand twist")) @ rotation(_Y, angle(f"{side} hand side"))
             @ rotation(_X, angle(f"{side} hand bend")))
        curl = np.cross(forearm, -_X * sign)
        palm = np.cross(curl, forearm)
        for finger in range(1, 5):
            for joint in ("", "1", "2"):
                turn(f"{side} Finger{finger}{joint}", rotation(curl, angle(f"{side} fingers") + angle(f"{side} finger {finger}")))
            turn(f"{side} Finger{finger}", rotation(palm, sign * _FANNED[finger - 1] * angle(f"{side} spread")))
        # The thumb goes before the palm, and bends across it.
        thumb = angle(f"{side} finger 0")
        turn(f"{side} Finger0", rotation(forearm, sign * 0.8 * thumb) @ rotation(palm, -sign * 0.4 * thumb))
        for joint in ("1", "2"):
            turn(f"{side} Finger0{joint}", rotation(palm, -sign * thumb))
        turn(f"{side} Thigh", rotation(_X, -angle(f"{side} hip")) @ rotation(_Y, -sign * angle(f"{side} hip spread")))
        turn(f"{side} Calf", rotation(_X, angle(f"{side} knee")))
        turn(f"{side} Foot", rotation(_X, -angle(f"{side} foot")))
    for bone in ("Neck", "Head"):
        turn(bone, rotation(_Z, angle("head turn") / 2) @ rotation(_X, angle("head nod") / 2)
             @ rotation(_Y, angle("head tilt") / 2))
    # The thighs hang from the first spine bone, so only the upper ones bend.
    for bone in ("Spine1", "Spine2"):
        turn(bone, rotation(_Z, angle("spine turn") / 2) @ rotation(_Y, angle("spine tilt") / 2)
             @ rotation(_X, angle("spine bend") / 2))
    return turned


class Skin:
    """Applies poses to one mesh."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        vertices, bones = len(mesh.positions), len(mesh.bone_names)
        rows = np.repeat(np.arange(vertices), mesh.skin_weights.shape[1])
        weights = mesh.skin_weights.copy()
        loose = weights.sum(1) < 0.5  # follows the root
        root = int(np.where(mesh.bone_parents < 0)[0][0])
        influences = mesh.skin_bones.copy()
        weights[loose], influences[loose] = (1, 0, 0, 0), root
        self._weights = csr_matrix((weights.ravel(), (rows, influences.ravel())), (vertices, bones))
        self._order: list[int] = []  # parents before children
        while len(self._order) < bones:
            self._order += [bone for bone in range(bones) if bone not in self._order
                            and (mesh.bone_parents[bone] < 0 or mesh.bone_parents[bone] in self._order)]

    def weight_of(self, *bones: str) -> np.ndarray:
        """(V,) how far the named bones move each vertex."""
        found = [index for index in (self.mesh.bone(bone) for bone in bones) if index is not None]
        return np.asarray(self._weights[:, found].sum(1)).ravel()

    def transforms(self, pose: Pose, instead: dict[int, np.ndarray] | None = None) -> np.ndarray:
        """(B, 4, 4): where each bone takes a point of the bind pose; ``instead``: own rotations that replace the pose's."""
        return self.placed(_rotations(self.mesh, pose) | (instead or {}))

    def placed(self, turned: dict[int, np.ndarray]) -> np.ndarray:
        """The same for each moved bone's own rotation, (3, 3), in the axes of the bind pose."""
        mesh = self.mesh
        placed = np.zeros((len(mesh.bone_names), 4, 4))
        for bone in self._order:
            parent = mesh.bone_parents[bone]
            placed[bone] = placed[parent] if parent >= 0 else np.eye(4)
            if bone in turned:
                own = np.eye(4)
                own[:3, :3] = turned[bone]
                own[:3, 3] = mesh.bone_heads[bone] - turned[bone] @ mesh.bone_heads[bone]
                placed[bone] = placed[bone] @ own
        return placed

    def apply(self, placed: np.ndarray, positions: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Posed positions and normals, (V, 3) float32 each; ``positions`` replaces those of the bind pose."""
        mesh = self.mesh
        points = mesh.positions if positions is None else positions
        blended = (self._weights @ placed.reshape(len(placed), 16)).reshape(-1, 4, 4)
        moved = np.einsum("vij,vj->vi", blended[:, :3, :3], points) + blended[:, :3, 3]
        normals = np.einsum("vij,vj->vi", blended[:, :3, :3], mesh.normals)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
        return moved.astype("f4"), normals.astype("f4")
