"""The real uv, from the package index, with a home of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def pins(version: str) -> dict[str, str]:
    """The pinned releases by name, for a CPython of this version, such as 3.11 or 3.13.5."""
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line.strip() and not line.startswith("#")]
    minor = {"python_version": ".".join(version.split(".")[:2])}
    wanted = [one for one in map(Requirement, lines) if one.marker is None or one.marker.evaluate(minor)]
    return {one.name: str(one.specifier).removeprefix("==") for one in wanted}


def pip_says(name: str) -> list[str]:
    """One of pip's settings on this machine, which uv does not read: indexes and folders of packages that are there."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", f"global.{name}"], capture_output=True, text=True, check=False
    )
    said = os.environ.get(f"PIP_{name.upper().replace('-', '_')}") or asked.stdout
    return [value for value in said.split() if Path(value).is_dir() or value.startswith(("http:", "https:"))]


@dataclass(frozen=True)
class Uv:
    """uv with a home of its own."""

    program: Path
    environment: Mapping[str, str]

    def __call__(self, *arguments: str | Path, **more: str) -> str:
        command = [str(self.program), *map(str, arguments)]
        done = subprocess.run(command, env={**self.environment, **more}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def uv_at(home: Path) -> Uv:
    """The pinned uv, installed below `home`; skips the test where no package index gives it."""
    pinned = f"uv=={pins(platform.python_version())['uv']}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(home / "bin"), pinned]
    got = subprocess.run(command, capture_output=True, text=True, check=False)
    if got.returncode != 0:
        pytest.skip(f"no package index gives {pinned}: {got.stderr.strip().splitlines()[-1]}")
    settings = {
        "HOME": str(home),
        "UV_CACHE_DIR": str(home / "cache"),
        "UV_PYTHON_INSTALL_DIR": str(home / "Pythons für alle"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_PREFERENCE": "only-managed",
        "UV_DEFAULT_INDEX": " ".join(pip_says("index-url")[:1]),
        "UV_INDEX": " ".join(pip_says("extra-index-url")),
        "UV_FIND_LINKS": " ".join(pip_says("find-links")),
    }
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")}
    return Uv(home / "bin" / "bin" / "uv", kept | {name: value for name, value in settings.items() if value})
