"""Fetches what is measured, and makes the place in which it is measured the same for both interpreters."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.bench.result import Interpreter, Machine
from workers.errors import Failure
from workers.store import sha256_of

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
DATA_BYTES = 10_000_000

_PROBE = """
import json, ssl, sys, sysconfig
names = ("CONFIG_ARGS", "CC", "CFLAGS", "PY_CFLAGS_NODIST", "PY_LDFLAGS", "PY_LDFLAGS_NODIST", "LINKCC",
    "PGO_PROF_USE_FLAG", "PY_CORE_LDFLAGS")
print(json.dumps({
    "executable": getattr(sys, "_base_executable", sys.executable),
    "version": sys.version.replace("\\n", " "),
    "minor": "%d.%d" % sys.version_info[:2],
    "compiler": sys.version.split("[", 1)[1].rstrip("]"),
    "flags": {name: " ".join(str(sysconfig.get_config_var(name) or "").split()) for name in names},
    "openssl": ssl.OPENSSL_VERSION,
}))
"""
_FIPS_PROBE = "import _hashlib; print(_hashlib.get_fips_mode())"


@dataclass(frozen=True)
class Materials:
    """`libraries`: what both interpreters import from, pyperformance's sources among it. `data`: the codecs' file."""

    libraries: Path
    data: Path
    packages: dict[str, str]

    @property
    def benchmarks(self) -> Path:
        return self.libraries / "pyperformance" / "data-files" / "benchmarks"


def fetch(cache: Path) -> Materials:
    """Installs the pinned packages below `cache` unless they are there already. Raises Failure when that fails.

    Named by the pins' digest, so that changed pins get a directory of their own.
    """
    pins = REQUIREMENTS.read_text()
    place = cache / hashlib.sha256(pins.encode()).hexdigest()[:16]
    packages = dict(line.split()[0].split("==") for line in pins.splitlines() if "==" in line)
    libraries, data = place / "libraries", place / "data"
    if not libraries.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            target = Path(scratch) / "libraries"
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
            command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(REQUIREMENTS)]
            ran = subprocess.run([*command, "--target", str(target)], capture_output=True, text=True, check=False)
            if ran.returncode:
                raise Failure(
                    "bench",
                    "the benchmarks' sources could not be installed",
                    wanted=", ".join(f"{name} {version}" for name, version in packages.items()),
                    found=ran.stderr.strip()[-800:],
                    todo="They come from the Python package index that pip is set up with; try again when it answers.",
                )
            target.rename(libraries)
    if not data.exists():
        temporary = data.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(text_like(DATA_BYTES))
        temporary.rename(data)
    return Materials(libraries, data, packages)


def text_like(size: int) -> bytes:
    """Words of a skewed vocabulary, the same each time: codecs find about as much in it as in English text."""
    source = random.Random(size)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(4000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    return " ".join(source.choices(words, weights, k=size // 4)).encode()[:size]


def interpreter(python: Path) -> Interpreter:
    """What `python` says of itself, and the digest of the file behind it. Raises Failure when it doesn't start."""
    try:
        ran = subprocess.run([python, "-I", "-c", _PROBE], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(
            "bench",
            f"{python} is no interpreter that could be measured",
            found=str(getattr(error, "stderr", None) or error).strip(),
            todo="Give the paths of two interpreters of the same minor version.",
        ) from error
    said = json.loads(ran.stdout)
    said["executable"] = str(Path(said["executable"]).resolve())
    asked = subprocess.run(
        [said["executable"], "-I", "-c", _FIPS_PROBE],
        env={"PATH": os.defpath, "PYTHON_FIPS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return msgspec.convert(
        {**said, "sha256": sha256_of(Path(said["executable"])), "fips": asked.stdout.strip() == "1"}, Interpreter
    )


def same_minor(baseline: Interpreter, candidate: Interpreter) -> None:
    """Raises Failure unless a comparison of the two says something about how they were built."""
    if baseline.minor != candidate.minor:
        raise Failure(
            "bench",
            "the two interpreters are of different minor versions",
            wanted=f"two of {baseline.minor}",
            found=f"{baseline.minor} and {candidate.minor}",
            todo="Between minor versions the language itself got faster; only the same minor compares the builds.",
        )


def environment_of(python: Interpreter, place: Path) -> Path:
    """An empty virtual environment at `place`, and its interpreter.

    Without one a distribution's python would read its dist-packages' .pth files at each start, and be slower for what
    happens to be installed. Made by hand: Debian keeps the module `venv` in a package of its own.
    """
    executable = Path(python.executable)
    (place / "bin").mkdir(parents=True)
    (place / "lib" / f"python{python.minor}" / "site-packages").mkdir(parents=True)
    (place / "pyvenv.cfg").write_text(f"home = {executable.parent}\ninclude-system-site-packages = false\n")
    link = place / "bin" / "python"
    link.symlink_to(executable)
    return link


def lib2to3_source(python: Path, materials: Materials) -> Path | None:
    """Where 2to3's benchmark finds its subject from 3.13 on, whose standard library no longer has it."""
    asked = [str(python), "-W", "ignore", "-c", "import lib2to3"]
    if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
        return None
    return materials.benchmarks / "bm_2to3" / "vendor" / "src"


def machine() -> Machine:
    """This machine, from /proc where there is one."""
    cpu = "unknown"
    information = Path("/proc/cpuinfo")
    if information.exists():
        named = (line for line in information.read_text().splitlines() if line.startswith("model name"))
        cpu = next(named, "x: unknown").split(":", 1)[1].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = " ".join((os.uname().sysname, os.uname().release, os.uname().machine))
    return Machine(cpu, os.cpu_count() or 0, kernel, round(memory, 1), os.getloadavg()[0])
