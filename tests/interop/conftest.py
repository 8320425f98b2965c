"""Skip what needs the optional libraries where they are missing."""

import pytest

for library in ("gemmi", "h5py", "fabio"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install 'nanobragg[io]'")
