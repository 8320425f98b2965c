"""Lets the tests of this folder import the literal twin, which lies one level up."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
