#!/usr/bin/env python3
"""Runs one step of making the built-in model: ``make.py STEP [options]``, see README.md.

The steps in their order: meshes, cameras, backgrounds, render, mine, train, blend, export, evaluate, time, clip, pictures.
"""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", help="folder with rocketbox/, valid/ and hdri/ (or $DAVIDMATTE_ASSETS)")
    parser.add_argument("--eval", help="folder with the photographs to measure on (or $DAVIDMATTE_EVAL)")
    parser.add_argument("--photos", help="folder with the labelled photographs to learn from (or $DAVIDMATTE_PHOTOS)")
    parser.add_argument("--rival", help="selfie_segmentation.onnx (or $DAVIDMATTE_RIVAL)")
    parser.add_argument("--build", help="folder for everything made on the way (or $DAVIDMATTE_BUILD)")
    steps = parser.add_subparsers(dest="step", required=True)

    steps.add_parser("meshes", help="read the avatars from FBX and glTF")
    steps.add_parser("cameras", help="fit the cameras of Rocketbox's previews")
    step = steps.add_parser("backgrounds", help="views of the panoramas, and invented surroundings")
    step.add_argument("--count", type=int, default=5000, help="pictures for training")
    step = steps.add_parser("render", help="pictures of posed avatars")
    step.add_argument("--shards", default="0:9", help="FIRST:END of the shards to make, 1,000 pictures each; those from 1000 on show hands that come in from a side")
    step.add_argument("--processes", type=int, default=2)
    step.add_argument("--held-out", action="store_true", help="the held-out avatars instead: shards 0 and 1 of Rocketbox, 2 of VALID, 1000 with hands that come in")
    step = steps.add_parser("mine", help="surroundings that the present network takes for people, to train on")
    step.add_argument("--count", type=int, default=10000, help="new pictures to look at")
    step.add_argument("--keep", type=int, default=2000, help="pictures to keep, the hardest")
    step.add_argument("--seed", type=int, default=0, help="another one gives other pictures")
    step = steps.add_parser("composites", help="a contact sheet of what training sees")
    step.add_argument("--held-out", action="store_true")
    step.add_argument("--output", default=None)
    step = steps.add_parser("train", help="train, until stopped; goes on from the last checkpoint")
    step.add_argument("--minutes", type=float, default=None, help="stop after this long")
    step.add_argument("--cooldown", type=float, default=None, metavar="MINUTES",
                      help="let the learning rate fall to nothing over this long, and write cooled.safetensors to the build folder")
    step.add_argument("--learning-rate", type=float, default=1.2e-3)
    step.add_argument("--size", type=int, default=None, help="side of the training pictures, pixels")
    step.add_argument("--batch", type=int, default=None)
    step.add_argument("--distractors", type=float, default=None, help="0 to 1; by default it grows with training")
    step.add_argument("--workers", type=int, default=1, help="processes that compose pictures")
    step.add_argument("--threads", type=int, default=1, help="of the network")
    step.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: an NVIDIA GPU, with larger pictures and batches; give it --workers for every core")
    step.add_argument("--remember", action="store_true", help="train a second network beside it, on the same pictures, that is given the matte of the frame before")
    step.add_argument("--resume", action="store_true",
                      help="start from models/builtin/checkpoint.safetensors where the build folder has no checkpoint")
    step = steps.add_parser("blend", help="draw checkpoint.safetensors towards the state that training went on from")
    step.add_argument("earlier", help="a .safetensors file")
    step.add_argument("--share", type=float, default=0.5, help="of the earlier state, 0 to 1")
    step = steps.add_parser("export", help="write models/builtin.onnx")
    step.add_argument("--weights", default=None, help="a .safetensors file; by default the project's own")
    step.add_argument("--from-checkpoint", action="store_true", help="first copy the running training's weights into the project")
    step.add_argument("--output", default=None)
    step = steps.add_parser("evaluate", help="measure on held-out photographs, composites and places, and on photographs to report on")
    step.add_argument("--model", default=None)
    step.add_argument("--sides", type=int, nargs="+", default=[256, 320], help="input sizes of the own network")
    step.add_argument("--only", default=None, help="only sets whose name holds this")
    step.add_argument("--grid", default=None, help="a contact sheet of the worst pictures (not for publication)")
    step.add_argument("--json", default=None)
    step = steps.add_parser("time", help="milliseconds and multiply-adds, own network and rival")
    step.add_argument("--model", default=None)
    step.add_argument("--sides", type=int, nargs="+", default=[256, 320], help="input sizes of the own network")
    step.add_argument("--threads", type=int, default=2)
    steps.add_parser("clip", help="the clip of examples/media with its true alpha")
    steps.add_parser("pictures", help="the model card's pictures")

    options = parser.parse_args()
    for option, variable in (("assets", "DAVIDMATTE_ASSETS"), ("eval", "DAVIDMATTE_EVAL"), ("photos", "DAVIDMATTE_PHOTOS"),
                             ("rival", "DAVIDMATTE_RIVAL"), ("build", "DAVIDMATTE_BUILD")):
        if getattr(options, option):
            os.environ[variable] = getattr(options, option)

    # Imported late: each step needs only its own libraries.
    if options.step == "meshes":
        from builtin import meshes
        meshes.run()
    elif options.step == "cameras":
        from builtin import cameras
        cameras.run()
    elif options.step == "backgrounds":
        from builtin import backgrounds
        backgrounds.run(options.count)
    elif options.step == "render":
        from builtin import render
        first, end = (int(number) for number in options.shards.split(":"))
        render.run(range(first, end), options.processes, options.held_out)
    elif options.step == "mine":
        from builtin import mining
        mining.run(options.count, options.keep, options.seed)
    elif options.step == "composites":
        from builtin import compose
        compose.contact_sheet(options.held_out, options.output)
    elif options.step == "train":
        from builtin import train
        train.run(options)
    elif options.step == "blend":
        from builtin import weights
        print(f"wrote {weights.blend(Path(options.earlier), options.share)}")
    elif options.step == "export":
        from builtin import export
        export.run(options.weights, options.output, options.from_checkpoint)
    elif options.step == "evaluate":
        from builtin import evaluate
        evaluate.run(options.model, options.sides, options.only, options.grid, options.json)
    elif options.step == "time":
        from builtin import timing
        timing.run(options.model, options.sides, options.threads)
    elif options.step == "clip":
        from builtin import clip
        clip.run()
    elif options.step == "pictures":
        from builtin import pictures
        pictures.run()


if __name__ == "__main__":
    main()
