"""Options and data shared by all tests."""

from __future__ import annotations

from pathlib import Path

import instrumented
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", metavar="PATH", help="a folder of golden cases to run instead of golden/")
    parser.addoption("--real", metavar="PATH", help="a folder with files of the Protein Data Bank to try")


def pytest_configure(config: pytest.Config) -> None:
    # reference fidelity is what many tests are about; said here and not in pyproject.toml, where pytest would import the
    # package before its coverage is recorded
    config.addinivalue_line("filterwarnings", "ignore::nanobragg.errors.QuirkWarning")
    config.addinivalue_line("markers", "slow: takes more than ten seconds; -m 'not slow' leaves it out")
    config.addinivalue_line("markers", "no_cover: pytest-cov looks away (tracing slows loops of Python down by half)")
    config.addinivalue_line("markers", "dials: needs DIALS; NANOBRAGG_DIALS_PY names a command that runs its Python")


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> instrumented.Build:
    """The package and the C tests with sanitizers, built once for all tests of a run."""
    return instrumented.build(tmp_path_factory.mktemp("sanitized"))


@pytest.fixture(scope="session")
def real(request: pytest.FixtureRequest) -> Path:
    """Files of the Protein Data Bank, which are not part of the project: see --real."""
    path = request.config.getoption("--real")
    if path is None or not Path(path).is_dir():
        pytest.skip("needs files of the Protein Data Bank: give their folder with --real PATH")
    return Path(path)
