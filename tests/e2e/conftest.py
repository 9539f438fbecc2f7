# SPDX-License-Identifier: GPL-2.0-or-later
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fixtures import make_world, programs, pytest_runtest_makereport, world  # noqa: E402,F401
