"""What all tests share: the fixtures of the stack, and an environment that names no installation."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping

import pytest
from hypothesis import settings

# No deadlines: what a busy machine takes for one example says nothing. In CI the examples are the same every time,
# so that the same code has the same result; at a desk they differ, and find more.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

pytest_plugins = ["vigia_stack.testing"]

#: How tests are run; all else that begins so says where some Vigia or AWS is, and no test is meant to reach it.
_OURS = {"AWS_CA_BUNDLE", "VIGIA_CACHE", "VIGIA_PARTS", "VIGIA_DEVICE", "VIGIA_PYTHON"}
for _name in [n for n in os.environ if n.startswith(("AWS_", "VIGIA_")) and n not in _OURS]:
    del os.environ[_name]


_OUTCOMES = pytest.StashKey[dict[str, str]]()


@pytest.fixture(scope="session")
def outcomes(pytestconfig: pytest.Config) -> Mapping[str, str]:
    """What became of each test of the session so far: passed, failed or skipped, by node id."""
    return pytestconfig.stash[_OUTCOMES]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OUTCOMES] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("runs_last") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    known = item.config.stash[_OUTCOMES]
    if report.outcome != "passed" or report.when == "call":
        known[item.nodeid] = "failed" if known.get(item.nodeid) == "failed" else report.outcome
    return report
