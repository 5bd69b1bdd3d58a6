#!/usr/bin/env python3
"""Runs one step of making the network of refine=detail: ``make.py STEP [options]``, see README.md.

The steps in their order: subjects, shapes, train, export, evaluate. They take the assets, backgrounds and photographs of
the built-in network's making (``models/builtin/make.py``), whose packages they need as well.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("subjects", help="avatars with single hairs, and mattes of the built-in network")
    step.add_argument("--count", type=int, default=640)
    step.add_argument("--processes", type=int, default=2)
    step.add_argument("--held-out", action="store_true", help="the held-out avatars before held-out places instead")
    step = steps.add_parser("shapes", help="drawn borders with fur, hair, bars and holes")
    step.add_argument("--count", type=int, default=3000)
    step.add_argument("--held-out", action="store_true", help="others, to choose by")
    step = steps.add_parser("train", help="train, until stopped; goes on from the last checkpoint")
    step.add_argument("--minutes", type=float, default=None, help="stop after this long")
    step.add_argument("--cooldown", type=float, default=None, metavar="MINUTES",
                      help="let the learning rate fall to nothing over this long, and write cooled.pt to the build folder")
    step.add_argument("--learning-rate", type=float, default=2e-3)
    step.add_argument("--threads", type=int, default=1, help="of the network")
    step.add_argument("--workers", type=int, default=1, help="processes that make samples")
    step = steps.add_parser("export", help="write models/detail.onnx")
    step.add_argument("--from", dest="source", default=None, help="a .pt of the training, whose weights become the project's")
    step.add_argument("--output", default=None)
    step = steps.add_parser("evaluate", help="errors on held-out tiles beside bicubic's")
    step.add_argument("--from", dest="source", default=None, help="a .pt of the training; by default the project's weights")
    options = parser.parse_args()

    # Imported late: each step needs only its own libraries.
    if options.step == "subjects":
        from detail import subjects
        subjects.run(options.count, options.held_out, options.processes)
    elif options.step == "shapes":
        from detail import shapes
        shapes.run(options.count, options.held_out)
    elif options.step == "train":
        from detail import train
        train.run(options.minutes, options.cooldown, options.learning_rate, options.threads, options.workers)
    elif options.step == "export":
        from detail import export
        export.run(options.source, options.output)
    elif options.step == "evaluate":
        from detail import train
        train.evaluate(options.source)


if __name__ == "__main__":
    main()
