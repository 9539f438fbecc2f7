"""The page in a real Chromium, against a real daemon."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from fixtures import make_world, programs, pytest_runtest_makereport, world  # noqa: E402,F401
