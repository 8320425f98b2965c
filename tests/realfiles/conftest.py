"""Files of the Protein Data Bank, which are not part of the project: see --real."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real(request):
    folder = Path(request.config.getoption("--real"))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder} with files of the Protein Data Bank; give one with --real PATH")
    return folder
