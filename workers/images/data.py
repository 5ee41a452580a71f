"""The images of cpython-unix/images: what each is made of, and the digest of it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from workers.errors import Failure, unknown_name
from workers.model import DATA
from workers.tools import BUILD_TOOLS

IMAGES = DATA / "images"
# How Debian calls the processors of our targets.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class ImageSpec:
    """An image of images.toml. suite: Debian's; tools: what every worker needs is in it; python, wheels: of the
    worker's virtual environment; files: of the checkout; smoke: command, and a text that it has to print."""

    about: str
    suite: str
    packages: list[str]
    smoke: list[tuple[str, str]]
    tools: bool = False
    python: str = ""
    wheels: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def all_packages(self) -> list[str]:
        tools = [tool.package for tool in BUILD_TOOLS] if self.tools else []
        return sorted({*self.packages, *tools})


def load_images(data: Path = IMAGES) -> dict[str, ImageSpec]:
    """All images by name. Raises Failure for a file that is not what it should be."""
    try:
        return msgspec.convert(tomllib.loads((data / "images.toml").read_text()), dict[str, ImageSpec])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Failure("image", f"{data / 'images.toml'} can't be read", found=str(error), todo="Mend it.") from error


def image_named(name: str, data: Path = IMAGES) -> ImageSpec:
    images = load_images(data)
    if name not in images:
        raise unknown_name("image", "image", name, list(images))
    return images[name]


def files_below(root: Path, names: list[str]) -> Iterator[tuple[str, Path]]:
    """The named files, and those below the named directories, in order: path in the image and here. No bytecode."""
    for name in sorted(names):
        top = root / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(root)), path


def digest_of(parts: Mapping[str, str]) -> str:
    """The identity of an image's inputs: everything that can change what is in it, by name."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def digest_of_files(root: Path, names: list[str]) -> str:
    """Of names, contents and whether they can be run."""
    total = hashlib.sha256()
    for name, path in files_below(root, names):
        runs = "x" if path.stat().st_mode & 0o100 else "-"
        total.update(f"{name}\0{runs}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
