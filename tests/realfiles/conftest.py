"""Files of the Protein Data Bank, which are not part of the project: see --real."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real(request):
    path = request.config.getoption("--real")
    if path is None or not Path(path).is_dir():
        pytest.skip("needs files of the Protein Data Bank: give their folder with --real PATH")
    return Path(path)
