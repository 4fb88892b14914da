#!/usr/bin/env python3
"""The soak (tests/soak/soak.py) in its short form: that it runs, and what can be said of half a minute."""

import os
import sys

from harness import SOURCE

os.environ.setdefault("SOAK_SECONDS", "20")
os.execv(sys.executable, [sys.executable, str(SOURCE / "tests" / "soak" / "soak.py")])
