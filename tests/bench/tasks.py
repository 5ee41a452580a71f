"""What is measured: twenty of pyperformance's benchmarks, and the rows that it has no benchmark for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEASURED = Path(__file__).resolve().parent / "measured"


@dataclass(frozen=True)
class Task:
    """A script run by the measured interpreter. `script`: below the benchmarks' directory; None: `measured/rows.py`."""

    name: str
    script: str | None
    arguments: tuple[str, ...] = ()
    fips: bool = False


def _pyperformance(name: str, folder: str | None = None, *arguments: str) -> Task:
    return Task(name, f"bm_{folder or name}/run_benchmark.py", arguments)


# The subset that foretold the whole suite's geometric mean to 0.3-1.1 % on three of four published comparisons
# (3.7 % off on the fourth), from the raw results in github.com/jjhelmus/cpython-benchmarks.
BENCHMARKS = (
    _pyperformance("2to3"),
    _pyperformance("nbody"),
    _pyperformance("deltablue"),
    _pyperformance("json_loads"),
    _pyperformance("pickle", None, "pickle"),
    _pyperformance("regex_compile"),
    _pyperformance("sqlite_synth"),
    _pyperformance("python_startup"),
    _pyperformance("richards"),
    _pyperformance("logging_simple", "logging", "simple"),
    _pyperformance("html5lib"),
    _pyperformance("telco"),
    _pyperformance("pyflate"),
    _pyperformance("chaos"),
    _pyperformance("async_generators"),
    _pyperformance("gc_traversal"),
    _pyperformance("xml_etree_parse", "xml_etree", "parse"),
    _pyperformance("unpickle", "pickle", "unpickle"),
    _pyperformance("go"),
    _pyperformance("float"),
)

ROWS = tuple(
    Task(name, None, (name,))
    for name in (
        "startup",
        "startup_imports",
        "import_hashlib",
        "sha256_64",
        "sha256_16k",
        "zlib_10mb",
        "bz2_10mb",
        "lzma_10mb",
        "zstd_10mb",  # from 3.14 on; left out before
    )
)

# Both sides are the candidate: without FIPS mode, and with it.
FIPS_ROW = Task("import_hashlib_fips", None, ("import_hashlib",), fips=True)
