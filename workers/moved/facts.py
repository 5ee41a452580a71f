"""Run by the archive's interpreter itself, never imported: prints as JSON where it believes to be.

Needs nothing but the standard library of CPython 3.10 and newer.
"""

import json
import os
import sys
import sysconfig
from pathlib import Path

json.dump(
    {
        "executable": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "base_exec_prefix": sys.base_exec_prefix,
        "library": str(Path(os.__file__).parent),
        "paths": sysconfig.get_paths(),
        "variables": {name: value for name, value in sysconfig.get_config_vars().items() if isinstance(value, str)},
        "makefile": sysconfig.get_makefile_filename(),
        "header": sysconfig.get_config_h_filename(),
    },
    sys.stdout,
)
