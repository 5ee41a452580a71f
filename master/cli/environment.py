"""Makes or renews `.venv`. Run by `./mint` with the machine's own Python, so only the standard library is used here.

Safe against interruption (the stamp is written last; without it everything is made anew) and against a second `./mint`
at the same time (an flock on pyproject.toml, which leaves no file behind and ends with the process that holds it).
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STAMP = VENV / "pymint-stamp"
LOG = VENV / "pymint-setup.log"


class SetupError(Exception):
    """The virtual environment can't be made; the text is for people and says what to do."""


def stamp_text(root: Path = ROOT) -> str:
    """What `.venv` is made from: `./mint` compares it byte for byte. The path is part of it: a venv can't be moved."""
    return f"{root}\n" + "".join((root / name).read_text() for name in ("pyproject.toml", "constraints.txt"))


def requirements(project: dict[str, Any]) -> list[str]:
    """The dependencies of pyproject.toml, those of the tests among them: Debian 12's pip knows no --group."""
    return [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]


def current() -> bool:
    return (VENV / "bin/python").exists() and STAMP.exists() and STAMP.read_text() == stamp_text()


def make_venv() -> None:
    """`python -m venv`; on Debian its package is installed first where root may, else the command is printed."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:  # Debian keeps them in a package of their own
        install_venv_package(missing)
    made = run([sys.executable, "-m", "venv", str(VENV)])
    if made.returncode:
        raise SetupError(f"mint: the virtual environment {VENV} can't be made\n{made.stdout.rstrip()}")


def install_venv_package(missing: list[str]) -> None:
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    command = ["apt-get", "install", "-y", "--no-install-recommends", package]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(
            f"mint: {sys.executable} can't make virtual environments\n"
            f"  wanted  its modules venv and ensurepip\n  found   no {' and no '.join(missing)}\n"
            f"  Run: {'' if os.geteuid() == 0 else 'sudo '}{' '.join(command)}"
        )
    print(f"mint: installing {package} with apt-get", flush=True)
    run(["apt-get", "-qq", "update"])  # one broken list of many is no reason to stop: the install says what is missing
    installed = run(command)
    if installed.returncode:
        raise SetupError(f"mint: {package} could not be installed\n{installed.stdout}  Run: {' '.join(command)}")


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs a command that asks nothing; its output, both streams, is in `stdout`."""
    return subprocess.run(
        command,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def install(wanted: list[str]) -> None:
    """Installs the list within constraints.txt: pip's last line on a terminal, the end of its output if it fails."""
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command = [*pip, "--progress-bar", "off", "-c", str(ROOT / "constraints.txt"), *wanted]
    lines: list[str] = []
    shown = sys.stderr.isatty()
    with (
        LOG.open("w") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            log.write(line)
            lines.append(line.rstrip())
            if shown:
                print(f"\r\x1b[K  {line.strip()[:100]}", end="", file=sys.stderr, flush=True)
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if process.returncode:
        tail = "\n".join(f"  {line}" for line in lines[-15:])
        raise SetupError(
            f"mint: the Python packages could not be installed (pip ended with {process.returncode})\n{tail}\n"
            f"  All of it: {LOG}\n"
            "  pip asks the package index that this machine is set up with (pip config list). Once it answers, run\n"
            "  the same command again; what is half-made is made anew."
        )


def make() -> None:
    """Brings `.venv` to what pyproject.toml and constraints.txt say. Raises SetupError."""
    if current():
        return
    started = time.monotonic()
    wanted = requirements(tomllib.loads((ROOT / "pyproject.toml").read_text()))
    if STAMP.exists() and STAMP.read_text().splitlines()[:1] == [str(ROOT)] and (VENV / "bin/python").exists():
        print("mint: the list of Python packages changed: bringing .venv up to date ...", flush=True)
        STAMP.unlink()
    else:
        version = ".".join(map(str, sys.version_info[:3]))
        print(f"mint: making the virtual environment .venv with Python {version}: about 115 packages, a minute or so,")
        print("mint: only this once. Nothing is installed outside of the checkout.", flush=True)
        if VENV.exists():
            shutil.rmtree(VENV)
        make_venv()
    install(wanted)
    temporary = STAMP.with_suffix(".new")
    temporary.write_text(stamp_text())
    temporary.rename(STAMP)
    print(f"mint: .venv is ready ({time.monotonic() - started:.0f} s)", flush=True)


def main() -> int:
    with (ROOT / "pyproject.toml").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("mint: another ./mint is making .venv: waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            make()
        except SetupError as error:
            print(error, file=sys.stderr)
            return 1
        except OSError as error:
            print(f"mint: .venv can't be made: {error}\n  Mend that and run the same command again.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
