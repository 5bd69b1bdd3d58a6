"""Lets the tests import the packages ``builtin`` and ``detail`` from anywhere."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
