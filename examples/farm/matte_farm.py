#!/usr/bin/env python3
"""Mattes a library of films with matte_file, on this machine or over a Ray cluster:

    python examples/farm/matte_farm.py FILMS… OUT [--address auto]
"""

import sys

from farm.cli import main

if __name__ == "__main__":
    sys.exit(main())
