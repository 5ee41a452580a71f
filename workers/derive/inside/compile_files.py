"""Run by the packaged interpreter itself, never imported: compiles its own library's files to unchecked-hash bytecode.

Names of files come on standard input, a line each, relative to the tree (argument 1). Of them it takes every Nth
(argument 3), beginning with the one of number argument 2. What does not compile is named on standard error; it ends
with 1 then. Needs nothing but the standard library of CPython 3.10 and newer.
"""

import importlib.util
import py_compile
import sys
import warnings

warnings.simplefilter("ignore")
root, first, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
failed = False
for name in sys.stdin.read().splitlines()[first::step]:
    path = f"{root}/{name}"
    try:
        py_compile.compile(
            path,
            cfile=importlib.util.cache_from_source(path, optimization=""),
            dfile=name,
            doraise=True,
            optimize=0,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    except py_compile.PyCompileError as error:
        print(f"{name}: {error.msg.strip().splitlines()[-1]}", file=sys.stderr)
        failed = True
sys.exit(failed)
