"""What the libraries of a macOS SDK export: its `.tbd` files, text stubs in YAML, versions 1 to 4 of the format.

https://github.com/llvm/llvm-project/tree/main/llvm/lib/TextAPI reads the same files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workers.errors import Failure

# Symbols of a TBD section, by the key's name: what stands before each in the symbol table.
_CLASSES = {"objc-classes": ("_OBJC_CLASS_$_", "_OBJC_METACLASS_$_"), "objc-eh-types": ("_OBJC_EHTYPE_$_",)}
_CLASSES["objc-ivars"] = ("_OBJC_IVAR_$_",)
_PLAIN = ("symbols", "weak-symbols", "weak-def-symbols", "thread-local-symbols")
_SECTIONS = ("exports", "reexports")
# Of which processor's stubs: a library for arm64e serves arm64 too.
_ARCHITECTURES = frozenset({"arm64", "arm64e", "arm64-macos", "arm64e-macos"})


class _Loader(yaml.CSafeLoader):
    """Takes a document's tag (`!tapi-tbd-v3`) for a plain map."""


_Loader.add_multi_constructor("!tapi-tbd", lambda loader, suffix, node: loader.construct_mapping(node, deep=True))


@dataclass
class Sdk:
    """An SDK's directory. version: of the system that it is for. Stubs are read when they are first asked for."""

    directory: Path
    name: str
    version: tuple[int, ...]
    _read: dict[str, frozenset[str] | None] = field(default_factory=dict)

    def exports(self, library: str) -> frozenset[str] | None:
        """The symbols of a library by its install name, those of its re-exported ones too; None: there is no stub."""
        if library not in self._read:
            self._read[library] = self._exports(library, 0)
        return self._read[library]

    def _exports(self, library: str, depth: int) -> frozenset[str] | None:
        stub = self.directory / library.lstrip("/")
        stub = stub.with_name(stub.name.removesuffix(".dylib") + ".tbd")
        if not stub.is_file():
            return None
        found: set[str] = set()
        inside: dict[str, set[str]] = {}
        others: set[str] = set()
        for number, document in enumerate(_documents(stub)):
            symbols = set(symbols_of(document))
            inside[str(document.get("install-name", ""))] = symbols
            if number == 0:
                found |= symbols
                others |= set(_reexported(document))
        for other in others:
            # Stubs carry the libraries that they re-export as further documents; else those have files of their own.
            found |= inside.get(other) or (self._exports(other, depth + 1) if depth < 2 else None) or set()
        return frozenset(found)


def _documents(stub: Path) -> Iterator[Mapping[str, Any]]:
    try:
        yield from (document for document in yaml.load_all(stub.read_text(), Loader=_Loader) if document)
    except yaml.YAMLError as error:
        raise Failure(
            "validate", f"{stub} is no stub of a library", found=str(error), todo="Take a whole SDK."
        ) from error


def _is_for_us(section: Mapping[str, Any]) -> bool:
    return bool(_ARCHITECTURES.intersection(section.get("archs") or section.get("targets") or ()))


def symbols_of(document: Mapping[str, Any]) -> Iterator[str]:
    """The symbols that a document says its library has for arm64."""
    for name in _SECTIONS:
        for section in document.get(name) or ():
            if _is_for_us(section):
                for key in _PLAIN:
                    yield from map(str, section.get(key) or ())
                for key, prefixes in _CLASSES.items():
                    for symbol in section.get(key) or ():
                        # Before version 3 a class has its underscore of C already.
                        yield from (prefix + str(symbol).removeprefix("_") for prefix in prefixes)


def _reexported(document: Mapping[str, Any]) -> Iterator[str]:
    for section in document.get("exports") or ():  # versions 1 to 3
        if _is_for_us(section):
            yield from map(str, section.get("re-exports") or ())
    for section in document.get("reexported-libraries") or ():  # version 4
        if _is_for_us(section):
            yield from map(str, section.get("libraries") or ())


def sdks_below(directory: Path, oldest: tuple[int, ...]) -> list[Sdk]:
    """The SDKs in a directory (`MacOSX11.3.sdk`, …) for systems from `oldest` on, the oldest first.

    Raises Failure when there is none.
    """
    found = []
    for path in directory.glob("*.sdk"):
        settings = path / "SDKSettings.json"
        try:
            said = json.loads(settings.read_text())["Version"] if settings.is_file() else _version_in(path.name)
            version = tuple(int(part) for part in str(said).split("."))
        except (ValueError, KeyError):
            continue
        if version >= oldest:
            found.append(Sdk(path, path.name, version))
    if not found:
        raise Failure(
            "validate",
            "there is no macOS SDK to judge by",
            wanted=f"folders called MacOSX11.3.sdk or the like, for macOS {'.'.join(map(str, oldest))} or newer",
            found=f"none in {directory}",
            todo="Name the folder that holds them, or leave --macos-sdks out: the rule macho.sdk-symbols then rests.",
        )
    return sorted(found, key=lambda sdk: sdk.version)


def _version_in(name: str) -> str:
    return name.removeprefix("MacOSX").removesuffix(".sdk")
