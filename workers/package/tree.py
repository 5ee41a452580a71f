"""Composes the tree of an archive out of the nodes' objects: which file of which object lands where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.errors import Failure
from workers.tarball import Entry, entries_below

INSTALL = "python/install/"
SSL = f"{INSTALL}share/ssl/"
PROVIDER_MODULES = ("fips.so", "fips.dylib")
PUBLIC_DOMAIN = frozenset({"blessing", "LicenseRef-public-domain"})
_LICENCES = "licences"
_PYTHON = "python/"


@dataclass(frozen=True)
class Output:
    """A node's object, unpacked at `root`. sources: the names of its sources, with their SPDX licences."""

    node: str
    root: Path
    sources: Mapping[str, tuple[str, ...]]

    def libraries(self) -> list[Path]:
        """Its static libraries."""
        return sorted((self.root / "lib").glob("*.a"))

    def shared_libraries(self) -> list[Path]:
        """Its shared ones: Tcl's and Tk's, which CPython's recipe puts into the tree."""
        return sorted(path for pattern in ("*.so", "*.dylib") for path in (self.root / "lib").glob(pattern))


@dataclass(frozen=True)
class ProviderFiles:
    """The FIPS module and what its own build left beside it."""

    module: Path
    module_config: Path


def cpython_entries(cpython: Output) -> list[Entry]:
    """The interpreter's own files: all below `python/` of its object."""
    return list(entries_below(cpython.root / "python", _PYTHON))


def library_entries(libraries: Iterable[Output], have: frozenset[str]) -> list[Entry]:
    """`build/lib/*.a` of the libraries, and ncurses' terminal database as `share/terminfo`. have: paths taken."""
    found = []
    for output in libraries:
        for library in output.libraries():
            if not library.is_symlink():
                found.append(Entry(f"python/build/lib/{library.name}", source=library))
        terminfo = output.root / "share/terminfo"
        if terminfo.is_dir():
            found.extend(entries_below(terminfo, f"{INSTALL}share/terminfo/"))
    return [entry for entry in found if entry.path not in have]


def licence_name(source: str) -> str:
    """`licenses/LICENSE.zlib.txt`, relative to `python/`; CPython's is the same for all its versions."""
    return f"licenses/LICENSE.{'cpython' if source.startswith('cpython-') else source}.txt"


def licence_entries(outputs: Sequence[Output]) -> list[Entry]:
    """One text for each source that something shipped was made from; the sysroot's start files are in each program.

    Raises Failure for a source without a text: an archive must not ship what it does not license. Only what is in the
    public domain may come without one.
    """
    texts: dict[str, bytes] = {}
    for output in outputs:
        for source, ids in output.sources.items():
            files = sorted((output.root / _LICENCES / source).glob("*"))
            if not files and ids and PUBLIC_DOMAIN.issuperset(ids):
                texts[licence_name(source)] = f"{source} is in the public domain ({', '.join(ids)}).\n".encode()
                continue
            if not files:
                raise Failure(
                    "package",
                    f"the object of {output.node} has no licence text of {source}",
                    todo="Give the pin of the source its licence_files in sources.toml.",
                )
            texts[licence_name(source)] = b"\n".join(
                (f"===== {path.name} =====\n\n".encode() if len(files) > 1 else b"") + path.read_bytes()
                for path in files
            )
    return [Entry(_PYTHON + name, data=text) for name, text in sorted(texts.items())]


def find_provider(output: Output) -> ProviderFiles:
    """The module and its config in the fips-provider's object. Raises Failure when one of them is not there."""
    modules = [path for name in PROVIDER_MODULES if (path := output.root / "ossl-modules" / name).is_file()]
    config = output.root / "fipsmodule.cnf"
    if len(modules) != 1 or not config.is_file():
        raise Failure(
            "package",
            "the object of the FIPS provider is not whole",
            wanted="ossl-modules/fips.so or fips.dylib, and fipsmodule.cnf",
            found=", ".join(sorted(p.relative_to(output.root).as_posix() for p in output.root.rglob("*"))) or "nothing",
            todo="See the log of the node fips-provider.",
        )
    return ProviderFiles(modules[0], config)


def provider_entries(files: ProviderFiles, self_contained: str) -> list[Entry]:
    """`share/ssl` as the design lays it out. The module's bytes go in as they are: its MAC covers every one of them."""
    return [
        Entry(f"{SSL}ossl-modules/{files.module.name}", source=files.module, executable=True),
        Entry(f"{SSL}fipsmodule.cnf", source=files.module_config),
        Entry(f"{SSL}openssl-fips.cnf", data=self_contained.encode()),
    ]
