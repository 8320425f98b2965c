"""Options and data shared by all tests."""

from __future__ import annotations

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
