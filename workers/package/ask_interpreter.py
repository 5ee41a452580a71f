"""Run by the packaged interpreter itself, never imported: prints what it knows of itself as JSON.

Needs nothing but the standard library of CPython 3.10 and newer.
"""

import importlib.machinery
import importlib.util
import json
import platform
import sys
import sysconfig

_RELATIVE = dict.fromkeys(("base", "platbase", "installed_base", "installed_platbase"), "install")

json.dump(
    {
        "abi_tag": sys.abiflags,
        "platform_tag": sysconfig.get_platform(),
        "cache_tag": sys.implementation.cache_tag,
        "hex_version": sys.hexversion,
        "implementation_name": sys.implementation.name,
        "implementation_version": [str(part) for part in sys.implementation.version],
        "version": platform.python_version(),
        "paths": sysconfig.get_paths(vars=_RELATIVE),
        "paths_abstract": sysconfig.get_paths(expand=False),
        "config_vars": {name: str(value) for name, value in sysconfig.get_config_vars().items()},
        "prefix": sys.prefix,
        "stdlib_platform_config": sysconfig.get_config_var("LIBPL"),
        "source_suffixes": importlib.machinery.SOURCE_SUFFIXES,
        "bytecode_suffixes": importlib.machinery.BYTECODE_SUFFIXES,
        "debug_bytecode_suffixes": importlib.machinery.DEBUG_BYTECODE_SUFFIXES,
        "optimized_bytecode_suffixes": importlib.machinery.OPTIMIZED_BYTECODE_SUFFIXES,
        "extension_suffixes": importlib.machinery.EXTENSION_SUFFIXES,
        "bytecode_magic": importlib.util.MAGIC_NUMBER.hex(),
    },
    sys.stdout,
)
