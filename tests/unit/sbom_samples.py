"""A small build whose bill of materials has one of each kind of component."""

from __future__ import annotations

from dataclasses import replace

from workers.package.beside import FipsDocument, statement
from workers.reports.build import CellName, ChosenPin, Plan, PlannedNode, ProviderFacts
from workers.sbom.bill import Materials, Part
from workers.sbom.vendored import Bundled, Vendored
from workers.sources.pins import Pin, PinnedFile, load_pins

FACTS = ProviderFacts("3.5.7", "toolchain", None, "2.17")
MODULE = "install/share/ssl/ossl-modules/fips.so"
TOOLCHAIN = {
    "clang": "1" * 64,
    "clang_rt.crtbegin-x86_64.o": "2" * 64,
    "libclang_rt.builtins-x86_64.a": "3" * 64,
    "libclang_rt.profile-x86_64.a": "4" * 64,
    "version": "Debian clang version 22.1.8 (1~deb12u1)",
}
LIBB2 = Vendored(
    "libb2",
    "0.98.1",
    "https://example.org/libb2.tar.gz",
    "5" * 64,
    "cpe:2.3:a:blake2:libb2:0.98.1:*:*:*:*:*:*:*",
    None,
    (),
)
PIP = Bundled("pip", "26.2.1", "install/lib/python3.13/ensurepip/_bundled/pip-26.2.1-py3-none-any.whl", "6" * 64, "MIT")
_RELEASES = {"openssl-fips": "3.5.7", "zlib": "1.3.1"}


def chosen(source: str) -> tuple[Pin, PinnedFile]:
    """The first pin of a source, or the one that these tests are about."""
    pins = load_pins()[source]
    pin = next((pin for pin in pins if pin.version == _RELEASES.get(source)), pins[0])
    return pin, pin.files[0]


def node(name: str, sources: list[str], needs: list[str]) -> PlannedNode:
    stage = "cpython" if name.startswith("cpython") else "fips-provider" if name == "fips-provider" else "dependencies"
    inputs: dict[str, object] = {"edits": {"fips-switch": "7" * 64}} if stage == "cpython" else {}
    return PlannedNode(name, stage, name.encode().hex().ljust(64, "0"), "", sources, needs, {}, None, inputs, True)  # type: ignore[arg-type]


NODES = [
    node("sysroot", ["ziglang"], []),
    node("zlib", ["zlib"], ["sysroot"]),
    node("ncurses", ["ncurses"], ["sysroot"]),
    node("libedit", ["libedit"], ["sysroot", "ncurses"]),
    node("libcrypt", [], ["sysroot"]),
    node("fips-provider", ["openssl-fips"], ["sysroot"]),
    node("cpython-3.13-build", ["cpython-3.13"], ["sysroot"]),
    node(
        "cpython-3.13-noopt",
        ["cpython-3.13"],
        ["sysroot", "zlib", "ncurses", "libedit", "libcrypt", "cpython-3.13-build"],
    ),
]
PLAN = Plan(
    schema="pymint/plan/2",
    cell=CellName("3.13", "x86_64-unknown-linux-gnu", "noopt"),
    commit="c" * 40,
    dirty=False,
    epoch=1790000000,
    python_version="3.13.15",
    archive_name="cpython-3.13.15-x86_64-unknown-linux-gnu-noopt-20260921T1200.tar.zst",
    archive_key="a" * 64,
    archive_stored=False,
    toolchain=TOOLCHAIN,
    provider=FACTS,
    pins=[
        ChosenPin(source, chosen(source)[0].version, chosen(source)[1].sha256, chosen(source)[0].version)
        for source in ("ziglang", "zlib", "ncurses", "libedit", "openssl-fips", "cpython-3.13")
    ],
    nodes=NODES,
)
LINKAGE = {"sysroot": "compiled in", "fips-provider": "module", "libedit": "shared", "cpython-3.13-noopt": ""}


def fips(facts: ProviderFacts = FACTS) -> FipsDocument:
    return FipsDocument("pymint/fips/1", facts, "8" * 64, MODULE, "m.cnf", "o.cnf", statement(facts))


def materials() -> Materials:
    parts = [
        Part(one, one.key[::-1], LINKAGE.get(one.name, "static"), ("install/lib/libedit.so",) * (one.name == "libedit"))
        for one in NODES
        if one.name != "cpython-3.13-build"
    ]
    return Materials(
        plan=PLAN,
        pins={pin.source: chosen(pin.source) for pin in PLAN.pins},
        parts=parts,
        vendored=[LIBB2],
        left_out={"expat": "a library of its own is linked"},
        bundled=[PIP],
        fips=fips(),
        mac="AB:CD",
    )


def with_pin(source: str, version: str) -> Materials:
    """The same with another pinned release of a source, by the distribution's file where that is another."""
    found = next(pin for pin in load_pins()[source] if pin.version == version)
    plain = materials()
    return replace(plain, pins={**plain.pins, source: (found, found.files[-1])})
