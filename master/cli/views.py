"""A build as the REST API tells of it, in the few facts that the commands show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from master.cli.rest import RESULTS, Rest


@dataclass(frozen=True)
class Step:
    """started, ended: seconds since 1970. result: Buildbot's code, None while it runs."""

    id: int
    name: str
    text: str
    started: float | None
    ended: float | None
    result: int | None

    @property
    def running(self) -> bool:
        return self.started is not None and self.result is None

    def seconds(self, now: float) -> float:
        return 0.0 if self.started is None else max(0.0, (self.ended or now) - self.started)


@dataclass(frozen=True)
class Build:
    """id: unique in the farm, what `./mint follow` takes. number: counts within the builder, as the page shows it."""

    id: int
    builder_id: int
    number: int
    started: float
    ended: float | None
    result: int | None
    text: str

    def page(self, address: str) -> str:
        return f"{address}#/builders/{self.builder_id}/builds/{self.number}"


def build_of(row: Mapping[str, Any]) -> Build:
    return Build(
        id=row["buildid"],
        builder_id=row["builderid"],
        number=row["number"],
        started=row["started_at"],
        ended=row["complete_at"],
        result=row["results"] if row["complete"] else None,
        text=row["state_string"],
    )


def step_of(row: Mapping[str, Any]) -> Step:
    return Step(
        id=row["stepid"],
        name=row["name"],
        text=row["state_string"],
        started=row["started_at"],
        ended=row["complete_at"],
        result=row["results"] if row["complete"] else None,
    )


def steps_of(rest: Rest, build: Build) -> list[Step]:
    """The steps in their order; Buildbot's own first ones only while they wait, or when they went wrong."""
    rows = rest.rows("steps", f"builds/{build.id}/steps")
    return [step_of(row) for row in sorted(rows, key=lambda row: int(row["number"])) if not _hidden(row)]


def _hidden(row: Mapping[str, Any]) -> bool:
    if row["name"] == "locks_acquire":
        return bool(row["results"] == 0)
    return bool(row["hidden"]) or (row["name"] == "worker_preparation" and row["results"] in (None, 0))


def builder_names(rest: Rest) -> dict[int, str]:
    return {row["builderid"]: row["name"] for row in rest.rows("builders", "builders")}


def properties_of(rest: Rest, build_id: int) -> dict[str, Any]:
    """The build's properties without where each came from."""
    answered = rest.rows("properties", f"builds/{build_id}/properties")[0]
    return {name: pair[0] for name, pair in answered.items()}


def result_name(result: int | None) -> str:
    return "running" if result is None else RESULTS[result]


def lines_of(content: str) -> list[str]:
    """The lines of a chunk of a stdio log that the program printed; each begins with the letter of its stream.

    Left out: `h`, what Buildbot itself says of the command.
    """
    return [line[1:] for line in content.split("\n") if line[:1] in ("o", "e")]
