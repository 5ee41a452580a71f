"""Run by the archive's interpreter itself, never imported: builds an extension module as sysconfig says, and calls it.

Arguments: a folder to work in, and the language, `c` or `c++`. Prints what the module answers, 42. The compiler gets
what setuptools gives it. Needs nothing but the standard library of CPython 3.10 and newer.
"""

import importlib
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCES = {
    "c": """
#include <Python.h>
static long answer(void) { return 42; }
""",
    # Something of C++'s own library, so that it has to be linked.
    "c++": """
#include <Python.h>
#include <numeric>
#include <string>
#include <vector>
static long answer(void) {
    std::vector<std::string> words(21, "ab");
    return (long)std::accumulate(words.begin(), words.end(), std::string()).size();
}
extern "C" {
""",
}
MODULE = """
static PyObject *call(PyObject *self, PyObject *nothing) { return PyLong_FromLong(answer()); }
static PyMethodDef methods[] = {{"answer", call, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "moved", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_moved(void) { return PyModule_Create(&module); }
"""


def words(name: str) -> list[str]:
    """A variable of sysconfig as arguments."""
    return shlex.split(sysconfig.get_config_var(name) or "")


def main() -> None:
    where, language = Path(sys.argv[1]), sys.argv[2]
    source = where / ("moved.c" if language == "c" else "moved.cpp")
    source.write_text(SOURCES[language] + MODULE + ("}" if language == "c++" else ""))
    built = where / f"moved{sysconfig.get_config_var('EXT_SUFFIX')}"
    compiler, linker = words("CC"), words("LDSHARED")
    if language == "c++":
        compiler = words("CXX")
        # Before 3.12 there is no LDCXXSHARED, and setuptools puts the one program in the other's place.
        linker = words("LDCXXSHARED") or [*compiler, *linker[1:]]
    include = f"-I{sysconfig.get_path('include')}"
    compiled = str(source.with_suffix(".o"))
    flags = [*words("CFLAGS"), *words("CCSHARED"), include]
    subprocess.run([*compiler, *flags, "-c", str(source), "-o", compiled], check=True)
    subprocess.run([*linker, compiled, "-o", str(built)], check=True)
    sys.path.insert(0, str(where))
    print(importlib.import_module("moved").answer())


main()
