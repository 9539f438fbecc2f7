# SPDX-License-Identifier: GPL-2.0-or-later
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from fixtures import make_world, programs, pytest_runtest_makereport  # noqa: E402,F401


def pytest_addoption(parser):
    group = parser.getgroup("chaos")
    group.addoption("--faults", type=int, default=8, help="how many faults to inject")
    group.addoption("--soak", type=float, default=0, help="go on for so many minutes")
    group.addoption("--seed", type=int, default=1, help="which history of faults")
