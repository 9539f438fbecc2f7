# SPDX-License-Identifier: GPL-2.0-or-later
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fixtures import make_world, programs, pytest_runtest_makereport, world  # noqa: E402,F401


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With -n: the rows of a table share a World, so one process runs them; others are alone."""
    from xdist.scheduler import LoadScopeScheduling

    class Tables(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file, _, rest = nodeid.partition("::")
            if "test_failures.py" in file and "[" in rest or "nothing_else" in rest:
                return file + ("::playing" if "play" in rest else "::first")
            return nodeid
    return Tables(config, log)
