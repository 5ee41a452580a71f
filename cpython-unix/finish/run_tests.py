"""Runs CPython's own tests with the interpreter of the archive that this file is in: run_tests.py [test arguments]"""

import os
import sys
from pathlib import Path

python = str(Path(__file__).resolve().parent.parent / "install" / "bin" / "python3")
os.execv(python, [python, "-W", "default", "-bb", "-E", "-m", "test", *(sys.argv[1:] or ["-j0", "--timeout=1200"])])
