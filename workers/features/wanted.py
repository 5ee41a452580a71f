"""Which features an archive has to have, and the checks that its interpreter's answers make."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from workers.fips.expected import UNKNOWN
from workers.fips.inside import Answer, answers_of
from workers.fips.running import run
from workers.fips.tree import Tree
from workers.model import ROOT
from workers.moved.places import version
from workers.reports.checks import Check, Skipped

# Last on the path: nothing of ours stands before the archive's own library.
_ASK = "import sys; sys.path.append(sys.argv[1]); from workers.features.probes import answer_all; answer_all()"


@dataclass(frozen=True)
class Feature:
    """id: the probe's. what: in words. since: the first CPython that has it. system: where it exists, "" everywhere."""

    id: str
    what: str
    since: tuple[int, int] = (3, 10)
    system: str = ""


FEATURES: tuple[Feature, ...] = (
    Feature("zlib", "zlib packs and unpacks"),
    Feature("bz2", "bzip2 packs and unpacks"),
    Feature("lzma", "xz packs and unpacks, with the checks CRC64 and SHA-256"),
    Feature("zstd", "zstd packs with threads, and unpacks", since=(3, 14)),
    Feature("sqlite", "SQLite answers, backs up, serialises, and may load extensions"),
    Feature("sqlite-extensions", "SQLite has FTS3 (enhanced queries), FTS4, FTS5, R*Tree, Geopoly and dbstat"),
    Feature("sqlite-no-tokenizer-by-pointer", "SQL can't register a tokenizer by an address"),
    Feature("dbm", "dbm.ndbm keeps what it is given"),
    Feature("hashes", "hashlib has all hashes of OpenSSL that people name, with FIPS off"),
    Feature("string-hash", "strings are hashed by SipHash, against made-up collisions"),
    Feature("tls", "ssl has TLS 1.2, 1.3 and a default context"),
    Feature("ctypes", "ctypes calls the running interpreter"),
    Feature("ctypes-callbacks", "C code can call back into Python"),
    Feature("decimal", "decimal is the C one"),
    Feature("xml", "XML is parsed, beyond ASCII too"),
    Feature("curses", "curses has windows, panels and resizing"),
    Feature("line-editing", "readline keeps a history"),
    Feature("uuid", "uuid1 is unique between processes"),
    Feature("semaphores", "multiprocessing has locks and shared memory"),
    Feature("terminals", "programs get a terminal of their own, as the controlling one too", system="linux"),
    Feature("line-speeds", "a line gets the speed that it is told, as serial ports want", system="linux"),
    Feature("free-threading", "the GIL is as the name of the ABI says"),
    Feature("platform-name", "extension modules are named for the target"),
    Feature("vsock", "sockets to virtual machines", system="linux"),
    Feature("bluetooth", "sockets of Bluetooth take its addresses", system="linux"),
    Feature("getrandom", "getrandom is called, or its absence said", system="linux"),
    Feature("pidfd_open", "pidfd_open is called, or its absence said", system="linux"),
    Feature("memfd_create", "memfd_create is called, or its absence said", system="linux"),
    Feature("copy_file_range", "copy_file_range is called, or its absence said", system="linux"),
    Feature("profiling", "perf can be told the names of Python functions", since=(3, 12), system="linux"),
    Feature("asyncio-tasks", "another process's asyncio tasks are seen", since=(3, 14), system="linux"),
    Feature("threads-without-new-code", "threads start where no new code may be made", system="linux"),
)


def try_features(tree: Tree) -> tuple[list[Check], list[Skipped]]:
    """The checks of all features that the tree's CPython is to have on this machine's system, FIPS off."""
    if tree.python is None:
        return [], []
    system = "macos" if sys.platform == "darwin" else "linux"
    ran = run(tree.python, ["-B", "-c", _ASK, str(ROOT)])
    trouble = None if ran.code == 0 else f"exit code {ran.code}: {ran.last}"
    outcomes = list(judge(answers_of(ran.out), version(tree), system, trouble))
    checks = [outcome for outcome in outcomes if isinstance(outcome, Check)]
    return checks, [outcome for outcome in outcomes if isinstance(outcome, Skipped)]


def judge(
    answers: dict[str, Answer], number: tuple[int, int], system: str, trouble: str | None
) -> Iterator[Check | Skipped]:
    """One of both for each feature that CPython `number` has on `system` ("linux", "macos").

    trouble: what ended the interpreter before its time.
    """
    for feature in FEATURES:
        if number < feature.since or feature.system not in ("", system):
            continue
        answer = answers.get(feature.id, Answer("no answer", trouble or ""))
        if answer.outcome == UNKNOWN:
            yield Skipped(f"feature.{feature.id}", answer.found)
            continue
        yield Check(f"feature.{feature.id}", "off", "neutral", answer.outcome == "works", feature.what, answer.in_words)
    if trouble is not None:
        yield Check("feature", "off", "neutral", False, "every probe answered", trouble)
