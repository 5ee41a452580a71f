"""Run by the archive's interpreter itself, never imported: builds an extension module as sysconfig says, and calls it.

Arguments: a folder to work in, the language, `c` or `c++`, and perhaps a folder of LD_LIBRARY_PATH: then the module is
linked to libpython, as it should not be, and that folder gets another one, which ends the process that loads it.
Prints what the module answers, 42. The compiler gets what setuptools gives it. Needs nothing but the standard library
of CPython 3.10 and newer.
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

# What nobody is to load.
OTHER = """
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) { _exit(3); }
"""


def words(name: str) -> list[str]:
    """A variable of sysconfig as arguments."""
    return shlex.split(sysconfig.get_config_var(name) or "")


def libpython(linker: list[str], where: Path, other: Path) -> list[str]:
    """What links a module to the tree's libpython; another one of that name is put into `other`."""
    source, name = where / "other.c", f"libpython{sysconfig.get_config_var('LDVERSION')}"
    source.write_text(OTHER)
    own = f"{name}.so.1.0"
    subprocess.run([*linker, "-fPIC", f"-Wl,-soname,{own}", str(source), "-o", str(other / own)], check=True)
    return ["-Wl,--no-as-needed", f"-L{sysconfig.get_config_var('LIBDIR')}", f"-l{name.removeprefix('lib')}"]


def copies_of_libpython() -> set[str]:
    """The files of it that the process has loaded, beside the interpreter."""
    files = (line.split(maxsplit=5)[-1].strip() for line in Path("/proc/self/maps").read_text().splitlines())
    return {file for file in files if Path(file).name.startswith("libpython")}


def main() -> None:
    where, language, others = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
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
    libraries = libpython(linker, where, Path(others[0])) if others else []
    subprocess.run([*linker, compiled, *libraries, "-o", str(built)], check=True)
    sys.path.insert(0, str(where))
    answer = importlib.import_module("moved").answer()
    copies = copies_of_libpython() if others else set()
    print(f"loaded {', '.join(sorted(copies))} beside the interpreter" if copies else answer)


main()
