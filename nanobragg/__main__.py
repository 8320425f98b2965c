"""``python -m nanobragg`` is the command ``nanoBragg``."""

import sys

from nanobragg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
