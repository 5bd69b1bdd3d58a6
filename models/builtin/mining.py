"""Step ``mine``: surroundings in which the present network sees somebody although nobody is there.

Most views show the network nothing of the kind, so most of what it learns from people-free pictures it knows
already. Of many candidates the worst are kept, and ``compose`` draws every fifth picture before one of them. Held-out
places take no part.
"""
from __future__ import annotations

from typing import Iterator

import cv2
import numpy as np
import torch
from tqdm import tqdm

from . import backgrounds, compose, contract, paths, weights
from .network import Matte, Network

INPUT = 256             # pixels the network is given, as it runs live
WORTH_KEEPING = 0.004   # of a picture's pixels over 0.5, below which it is not hard
VIEWS, ROOMS = 0.35, 0.2  # shares of the candidates, the rest are what training draws


def present_network() -> contract.Predict:
    """The averaged weights of the training that runs, or else the project's own."""
    checkpoint = paths.work() / "checkpoint.pt"
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"] if checkpoint.exists() else weights.load()[0]
    network = Network()
    network.load_state_dict(state)
    matte = Matte(network).eval().to(memory_format=torch.channels_last)

    def predict(batch: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return matte(torch.from_numpy(batch)).numpy()

    return predict


def candidates(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless people-free pictures (SIDE, SIDE, 3) uint8 RGB: new views, new rooms, and backgrounds as training draws them."""
    from .renderer import Renderer

    side = backgrounds.SIDE
    panoramas = [(panorama, float(np.median(panorama.mean(2)))) for panorama in map(backgrounds.load_panorama, paths.places(False))]
    composer, renderer = compose.Composer(side), Renderer(side)
    while True:
        kind = rng.random()
        if kind < VIEWS:
            panorama, median = panoramas[rng.integers(len(panoramas))]
            yield backgrounds.random_view(panorama, rng, median)
        elif kind < VIEWS + ROOMS:
            views = int(len(composer.backgrounds) * backgrounds.VIEWS)
            sources = [np.asarray(composer.backgrounds[index]) for index in rng.integers(0, views, 12)]
            yield backgrounds.room(renderer, rng, sources)
        else:
            picture = composer.surroundings(rng, (side, side), 1.0)
            yield (np.clip(picture, 0, 1) * 255 + 0.5).astype("u1")


def hardness(picture: np.ndarray, predict: contract.Predict) -> float:
    """Share of pixels over 0.5 of a people-free picture (H, W, 3) uint8 RGB."""
    matte = predict(contract.prepare(np.ascontiguousarray(picture[..., ::-1]), (INPUT, INPUT), "pad"))
    return float((matte > 0.5).mean())


def hardest(pictures: list[np.ndarray], shares: list[float], most: int) -> tuple[list[np.ndarray], list[float]]:
    """The ``most`` hardest of those that are worth keeping, the hardest first, and their shares."""
    order = [int(index) for index in np.argsort(shares)[::-1] if shares[index] >= WORTH_KEEPING][:most]
    return [pictures[index] for index in order], [shares[index] for index in order]


def run(count: int, keep: int, seed: int) -> None:
    """Looks at ``count`` new candidates and at what is kept already; keeps the hardest ``keep`` of both."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    predict, file = present_network(), backgrounds.hard_file()
    pictures = list(np.load(file)) if file.exists() else []
    shares = [hardness(picture, predict) for picture in tqdm(pictures, desc="known", mininterval=5)]
    before = len(pictures)
    fresh = candidates(np.random.default_rng([2029, seed]))
    for _ in tqdm(range(count), desc="new", mininterval=5):
        picture = next(fresh)
        share = hardness(picture, predict)
        if share >= WORTH_KEEPING:
            pictures.append(picture)
            shares.append(share)
    found = len(pictures) - before
    kept, shares = hardest(pictures, shares, keep)
    if not kept:
        print("nothing hard was found")
        return
    with paths.replacing(file) as partial:
        np.save(partial, np.stack(kept))
    print(f"{found} of {count} new pictures were hard; {len(kept)} kept, on the mean {np.mean(shares):.1%} of their pixels over 0.5")
