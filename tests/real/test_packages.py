"""What people do with an archive: uv installs it, and packages into a venv of it; pip builds and installs into it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.real.uv import Uv, pins, uv_at
from workers.fips.running import run
from workers.fips.tampering import MD5_OF_ABC
from workers.fips.tree import Tree, tree_at
from workers.machine import native_target
from workers.moved.building import copied
from workers.moved.judging import read_facts, wrong_compiler, wrong_place, wrong_sysconfig
from workers.moved.places import FACTS

pytestmark = [pytest.mark.real, pytest.mark.ci]

MD5 = """
import hashlib
try:
    print(hashlib.md5(b"abc").hexdigest())
except ValueError:
    print("refused")
"""
WORK = """
import json, sys, numpy, cryptography
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
matrix = numpy.arange(9.0).reshape(3, 3)
fernet, aes = Fernet(Fernet.generate_key()), AESGCM(bytes(32))
json.dump({
    "numpy": [numpy.__version__, int((matrix @ matrix).trace())],
    "cryptography": [cryptography.__version__, fernet.decrypt(fernet.encrypt(b"a message")).decode()],
    "aes": aes.decrypt(bytes(12), aes.encrypt(bytes(12), b"a message", None), None).decode(),
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Uv:
    return uv_at(tmp_path_factory.mktemp("uv"))


def version_of(archive: Path) -> str:
    """The release that an archive's name says, such as 3.13.15."""
    return archive.name.removeprefix("cpython-").partition("-")[0]


def is_freethreaded(archive: Path) -> bool:
    return "-freethreaded+" in archive.name


def catalogue(archive: Path) -> dict[str, object]:
    """What uv is told of an archive: the fields of its own list, all of which it wants."""
    version = version_of(archive)
    major, minor, patch = (int(part) for part in version.split("."))
    triple = native_target() or ""
    entry = {
        "name": "cpython",
        "arch": {"family": triple.partition("-")[0], "variant": None},
        "os": "darwin" if "apple" in triple else "linux",
        "libc": "none" if "apple" in triple else "gnu",
        "major": major, "minor": minor, "patch": patch, "prerelease": "",
        "url": f"file://{quote(str(archive))}",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "variant": "freethreaded" if is_freethreaded(archive) else None,
        "build": "20260101",
    }  # fmt: skip
    return {f"cpython-{version}": entry}


@pytest.fixture(scope="module")
def venv(uv: Uv, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv of the archive that uv installed from a catalogue of its own, with the pinned packages in it."""
    if not archive.name.endswith((".tar.gz", ".tar.zst")):
        pytest.skip(f"uv unpacks .tar.gz and .tar.zst, not {archive.name}")
    if is_freethreaded(archive) and version_of(archive).startswith("3.13."):
        pytest.skip(f"numpy {pins('3.13')['numpy']} has no wheels for 3.13's free-threaded ABI")
    place = tmp_path_factory.mktemp("venv")
    (place / "catalogue.json").write_text(json.dumps(catalogue(archive)))
    version = version_of(archive) + ("+freethreaded" if is_freethreaded(archive) else "")
    uv("python", "install", version, "--python-downloads-json-url", place / "catalogue.json")
    uv("venv", "--python", version, place / "a venv")
    wanted = [f"{name}=={pins(version)[name]}" for name in ("numpy", "cryptography")]
    uv("pip", "install", "--only-binary", ":all:", *wanted, VIRTUAL_ENV=str(place / "a venv"))
    return place / "a venv"


@pytest.mark.parametrize("fips", ["", "1"])
def test_uv_installs_the_archive_and_packages_run_in_a_venv_of_it(venv: Path, archive: Path, fips: str) -> None:
    wanted = pins(version_of(archive))
    ran = run(venv / "bin" / "python", ["-c", WORK], {"PYTHON_FIPS": fips})
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == {
        "numpy": [wanted["numpy"], 180],
        "cryptography": [wanted["cryptography"], "a message"],
        "aes": "a message",
    }
    md5 = run(venv / "bin" / "python", ["-c", MD5], {"PYTHON_FIPS": fips})
    assert md5.out.strip() == ("refused" if fips else MD5_OF_ABC)


@pytest.mark.parametrize("how", [("--import", "cryptography.fernet"), ("--installed",)])
def test_status_names_the_openssl_that_fips_mode_does_not_reach(venv: Path, how: tuple[str, ...]) -> None:
    arguments = ["-m", "fips_setup", "status", "--json", "--require", "on", *how]
    ran = run(venv / "bin" / "python", arguments, {"PYTHON_FIPS": "1"})
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    own, *others = said["libcryptos"]
    assert (said["fips"], own["governed"], own["loaded"]) == ("on", True, True)
    assert [(other["governed"], other["loaded"]) for other in others] == [(False, "--import" in how)]
    assert "cryptography" in others[0]["path"]
    assert others[0]["version"].startswith("OpenSSL ")


def test_sysconfig_is_true_of_what_uv_installed(venv: Path) -> None:
    base = Path(run(venv / "bin" / "python", ["-c", "import sys; print(sys.base_prefix)"]).out.strip())
    facts = read_facts(run(tree_at(base).python or base, ["-B", str(FACTS)]).out)
    assert facts is not None
    program = tree_at(base).python
    found = [*wrong_place(facts, base, program=program), *wrong_sysconfig(facts, base)]
    assert [*found, *wrong_compiler(facts.variables)] == []


PROJECT = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "moved"
version = "1.0"
[project.scripts]
moved-answer = "moved.command:main"
[tool.setuptools]
packages = ["moved"]
ext-modules = [{name = "moved.answer", sources = ["answer.c"]}]
""",
    "moved/__init__.py": "",
    "moved/command.py": "def main():\n    from moved import answer\n    print(answer.answer())\n",
    "answer.c": """
#include <Python.h>
static PyObject *call(PyObject *self, PyObject *nothing) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", call, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "answer", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_answer(void) { return PyModule_Create(&module); }
""",
}


def test_pip_builds_and_installs_into_the_tree_itself(tree: Tree, tmp_path: Path) -> None:
    """With FIPS mode on; and what is installed moves along."""
    own = copied(tree, tmp_path / "own tree")
    assert own.python is not None
    project = tmp_path / "project"
    for name, text in PROJECT.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "PATH"))}
    environment = {**kept, "PYTHON_FIPS": "1", "HOME": os.environ.get("HOME", "/"), "TMPDIR": str(tmp_path)}
    pip = ["-m", "pip", "--no-cache-dir", "install", "--quiet"]
    if run(own.python, ["-c", "import pip"]).code != 0:
        made = run(own.python, ["-m", "ensurepip"], environment)
        assert made.code == 0, made.err
    had = run(own.python, [*pip, "--upgrade", "setuptools", "wheel"], environment)
    if had.code != 0:
        pytest.skip(f"no package index gives setuptools: {had.last}")
    built = run(own.python, [*pip, "--no-build-isolation", str(project)], environment)
    assert built.code == 0, built.err[-4000:]
    script = own.root / "bin" / "moved-answer"
    assert run(script, [], {"PATH": "/usr/bin:/bin"}).out == "42\n"
    moved = tree_at(own.root.rename(tmp_path / "eigener Bäum"))
    assert moved.python is not None
    ran = run(moved.python, ["-c", "from moved.command import main; main()"])
    assert ran.out == "42\n", ran.err
