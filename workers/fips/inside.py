"""Asks the archive's interpreter (the probes) and holds its answers against what is expected."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.fips.claims import Module
from workers.fips.expected import EXPECTED, UNKNOWN, Expected
from workers.fips.running import run
from workers.fips.tree import Tree
from workers.model import ROOT
from workers.reports.checks import Check, Skipped

# Last on the path: nothing of ours stands before the archive's own library.
_ASK = "import sys; sys.path.append(sys.argv[1]); from workers.fips.probes.ask import answer_all; answer_all()"

# multiprocessing adds `/pymp-xxxxxxxx/listener-xxxxxxxx`.
_SOCKET_ROOM = 107 - 32

Mode = Literal["off", "on"]


@dataclass(frozen=True)
class Answer:
    """What a probe said."""

    outcome: str
    found: str

    @property
    def in_words(self) -> str:
        return self.outcome if self.found in ("", self.outcome) else f"{self.outcome}: {self.found}"


@dataclass(frozen=True)
class Inside:
    """A run of all probes: the answers by id; `trouble` where the run itself went wrong."""

    answers: dict[str, Answer]
    trouble: str | None = None

    def provider(self) -> list[str] | None:
        """name, version, build info, path of the provider that the interpreter says it uses."""
        answer = self.answers.get("mode.provider")
        return json.loads(answer.found) if answer is not None and answer.outcome == "named" else None

    def libcrypto(self) -> str:
        """`ssl.OPENSSL_VERSION`; empty when it could not be asked."""
        answer = self.answers.get("mode.libcrypto")
        return answer.found if answer is not None and answer.outcome == "works" else ""


def ask(tree: Tree, scratch: Path, mode: Mode) -> Inside:
    """Runs the probes in the archive's interpreter, with FIPS asked for by PYTHON_FIPS or not at all."""
    if tree.python is None:
        return Inside({}, "the archive has no bin/python3.N")
    with _short(scratch) as temporary:
        environment = {"TMPDIR": temporary} | ({"PYTHON_FIPS": "1"} if mode == "on" else {})
        ran = run(tree.python, ["-B", "-c", _ASK, str(ROOT)], environment)
    return Inside(answers_of(ran.out), None if ran.code == 0 else f"exit code {ran.code}: {ran.last}")


def answers_of(out: str) -> dict[str, Answer]:
    """What probes wrote, by id; lines that are no answer are passed over."""
    answers: dict[str, Answer] = {}
    for line in out.splitlines():
        try:
            said = json.loads(line)
            answers[said["id"]] = Answer(str(said["outcome"]), str(said["found"]))
        except (ValueError, KeyError, TypeError):
            continue
    return answers


@contextmanager
def _short(scratch: Path) -> Iterator[str]:
    """A folder for temporary files whose path leaves room for a socket's name, which may have 107 bytes in all."""
    if len(os.fsencode(scratch)) <= _SOCKET_ROOM:
        yield str(scratch)
        return
    with tempfile.TemporaryDirectory(prefix="prove-") as elsewhere:
        yield elsewhere


def judge(inside: Inside, module: Module, mode: Mode) -> tuple[list[Check], list[Skipped]]:
    """The checks that the answers make, and the probes that could say nothing; each is in one of them."""
    checks: list[Check] = []
    skipped: list[Skipped] = []
    if inside.trouble is not None:
        checks.append(Check("inside", mode, "positive", False, "every probe answered", inside.trouble))
    for expected in EXPECTED:
        wanted = expected.on if mode == "on" else expected.off
        answer = inside.answers.get(expected.id, Answer("no answer", ""))
        why = _why_not(expected, answer, wanted, module) if mode == "on" else _unknown(answer)
        if why is not None:
            skipped.append(Skipped(f"inside.{expected.id}", why))
            continue
        held = answer.outcome == wanted
        checks.append(Check(f"inside.{expected.id}", mode, expected.kind, held, wanted, answer.in_words))
    return checks, skipped


def _why_not(expected: Expected, answer: Answer, wanted: str, module: Module) -> str | None:
    """Why a probe says nothing with FIPS on: a provider of before 3.4 has no setting for the check that it tries.

    One that knows the check and whose config leaves it out is judged: there it is off.
    """
    if expected.setting is not None and module.settings and expected.setting not in {*module.settings, *module.checks}:
        return f"this provider has no {expected.setting}" if answer.outcome != wanted else None
    return _unknown(answer)


def _unknown(answer: Answer) -> str | None:
    return answer.found if answer.outcome == UNKNOWN else None
