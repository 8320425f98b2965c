"""Keep the source folder from shadowing an installed package.

`python -m pytest` puts the root on sys.path, where `nanobragg/` has no compiled core unless the install is editable.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
