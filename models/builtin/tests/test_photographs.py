"""Feeding of photographs, and that what is held out is never fed. All photographs here are made up."""
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from builtin import compose, paths, photographs


def made_up(side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A red disc before blue, cut by the lower edge: (side, side, 3) uint8 BGR and alpha uint8."""
    y, x = np.mgrid[:side, :side] - np.array([side * 0.6, side / 2])[:, None, None]
    alpha = np.clip(side * 0.42 - np.hypot(x, y), 0, 4)[..., None] / 4
    photo = alpha * np.array([0, 0, 230]) + (1 - alpha) * np.array([230, 0, 0])
    return photo.astype("u1"), (alpha[..., 0] * 255).astype("u1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Photographs of every set, the first of each held out, and one without a label."""
    monkeypatch.setenv("DAVIDMATTE_PHOTOS", str(tmp_path))
    monkeypatch.setattr(paths, "held_out_patterns", lambda: [f"{name}/first*" for name in paths.PHOTOGRAPH_SETS])
    photo, alpha = made_up()
    for name in paths.PHOTOGRAPH_SETS:
        (tmp_path / name).mkdir()
        for label in ("first_1", "first_2", "second", "third", "unlabelled"):
            cv2.imwrite(str(tmp_path / name / f"{label}.jpg"), photo)
            if label != "unlabelled":
                cv2.imwrite(str(tmp_path / name / f"{label}.png"), alpha)
    return tmp_path


def plain_composer(side: int = 64):
    """A composer with green surroundings and a camera that changes nothing but the order of colours."""
    def photograph(picture, alpha, rng):
        return (np.clip(picture[..., ::-1], 0, 1) * 255).astype("u1"), (alpha * 255).astype("u1")

    def surroundings(rng, frame, distraction):
        return np.tile(np.float32([0, 1, 0]), (*frame, 1))

    return SimpleNamespace(side=side, photograph=photograph, surroundings=surroundings, mottled=lambda person, rng: person)


def test_what_is_held_out_is_never_fed(folder):
    for name in paths.PHOTOGRAPH_SETS:
        kept, held_out = ({path.stem for path in paths.labelled(name, which)} for which in (False, True))
        assert kept == {"second", "third"} and held_out == {"first_1", "first_2"}
        assert {label for label, _, _ in photographs.held_out(name)} == held_out


def test_the_list_names_every_set_and_nothing_twice():
    patterns = paths.held_out_patterns()
    assert len(set(patterns)) == len(patterns)
    assert {pattern.split("/")[0] for pattern in patterns} == set(paths.PHOTOGRAPH_SETS)


def test_held_out_avatars_and_places_are_not_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("DAVIDMATTE_ASSETS", str(tmp_path))
    for folder, names in (("rocketbox", [*paths.HELD_OUT_AVATARS, "Someone"]), ("hdri", [*paths.HELD_OUT_PLACES, "somewhere"])):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.{'fbx' if folder == 'rocketbox' else 'hdr'}").touch()
    assert paths.avatar_names(False) == ["Someone"] and [path.stem for path in paths.places(False)] == ["somewhere"]
    assert set(paths.avatar_names(True)) == paths.HELD_OUT_AVATARS


def test_pictures_and_alphas_belong_together(folder):
    """People are red and nothing else is: before green, or before the blue of their photograph."""
    source, rng = photographs.Photographs(plain_composer()), np.random.default_rng(0)
    seen = 0
    for _ in range(60):
        photo, alpha = source.sample(rng)
        assert photo.shape == (64, 64, 3) and alpha.shape == (64, 64) and photo.dtype == alpha.dtype == np.uint8
        coloured = np.ptp(photo[..., :3].astype(int), axis=2) > 60
        if coloured.mean() > 0.9:  # not grey
            red = photo[..., 2].astype(int) - photo[..., :2].max(2)
            # From close by a person may be all there is.
            assert np.mean(red[alpha > 250] > 0) > 0.97 and ((alpha >= 5).all() or np.mean(red[alpha < 5] > 0) < 0.03)
            seen += 1
    assert seen > 30


def test_cut_outs_leave_the_old_surroundings_behind():
    photo, alpha = made_up(80)
    soft = (alpha > 40) & (alpha < 215)
    colours = photographs.own_colours(photo, alpha)
    assert colours[soft][:, 0].mean() < 0.4 * photo[soft][:, 0].mean()
    assert (colours[alpha == 255] == photo[alpha == 255]).all()


def test_a_cut_out_is_premultiplied_as_renders_are():
    pixels = photographs.cut_out(*made_up())
    assert pixels.shape == (40, 40, 4) and (pixels[..., :3] <= pixels[..., 3:]).all()
    assert compose.is_cut(pixels[-1]) and not compose.is_cut(pixels[0])


def test_missing_photographs_are_told_of(tmp_path, monkeypatch):
    monkeypatch.setenv("DAVIDMATTE_PHOTOS", str(tmp_path))
    with pytest.raises(RuntimeError, match="missing"):
        photographs.Photographs(plain_composer())
