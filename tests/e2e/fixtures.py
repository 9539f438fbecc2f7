# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the suites that run a whole Sluice."""
import pytest

from harness import ENCODER, MEDIAMTX, SLUICE, World


@pytest.fixture(scope="session", autouse=True)
def programs():
    for path in (SLUICE, ENCODER, MEDIAMTX):
        if not path.exists():
            pytest.exit(f"{path} is missing: make all mediamtx", returncode=3)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    for world in getattr(item, "worlds", []) if report.failed and report.when == "call" else []:
        report.sections.append(("logs", world.all_logs(last=6000)))


@pytest.fixture
def make_world(request):
    """Makes Worlds that are not started yet; all are closed at the end."""
    request.node.worlds = worlds = []

    def make(**kwargs):
        world = World(**kwargs)
        worlds.append(world)
        return world
    yield make
    found = [world.close() for world in worlds]
    assert not any(found), "\n".join(text for text in found if text)


@pytest.fixture
def world(make_world):
    """A running Sluice on an empty directory."""
    return make_world().start()
