# SPDX-License-Identifier: GPL-2.0-or-later
"""What is started is ended; a sanitizer's finding fails the test."""
import pytest

from media import ENCODER, MEDIAMTX, Encoder, Reader, Sender, Server, only_pictures


@pytest.fixture(scope="session", autouse=True)
def programs():
    for path in (ENCODER, MEDIAMTX):
        if not path.exists():
            pytest.exit(f"{path} is missing: make all mediamtx", returncode=3)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    for one in getattr(item, "things", []) if report.failed and report.when == "call" else []:
        if hasattr(one, "log"):
            report.sections.append((type(one).__name__, one.log()[-5000:]))


class Maker:
    def __init__(self, things):
        self.things = things

    def _keep(self, one):
        self.things.append(one)
        return one

    def server(self, *arguments, **named):
        return self._keep(Server(*arguments, **named))

    def encoder(self, spec, **named):
        return self._keep(Encoder(spec, **named))

    def sender(self, *arguments, **named):
        return self._keep(Sender(*arguments, **named))

    def reader(self, url):
        return self._keep(Reader(url))

    def pictures(self, url):
        return self._keep(only_pictures(url))


@pytest.fixture
def make(request):
    request.node.things = things = []
    yield Maker(things)
    found = [one.close() for one in reversed(things)]
    assert not any(found), "\n".join(text for text in found if text)
