"""The one kind of error that a person is meant to read: what was wanted, what was found, where, what to do."""

from __future__ import annotations


class Failure(Exception):
    """Something went wrong that a person has to know about, told so that it can be mended at night.

    where: the part of pymint that speaks ("sources", "toolchain").
    what: one sentence without a full stop.
    wanted, found: what should have been there and what was; either may be left out.
    todo: what to do about it, in whole sentences.
    """

    def __init__(
        self, where: str, what: str, *, wanted: str | None = None, found: str | None = None, todo: str
    ) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what
        self.wanted = wanted
        self.found = found
        self.todo = todo

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}"]
        if self.wanted is not None:
            lines.append(f"  wanted  {self.wanted}")
        if self.found is not None:
            lines.append(f"  found   {self.found}")
        lines.extend(f"  {line}" for line in self.todo.splitlines())
        return "\n".join(lines)


def retold(said: str) -> Failure | None:
    """The Failure that another process printed on its standard error; None where it said something else."""
    first, *rest = said.strip().splitlines() or [""]
    where, colon, what = first.partition(": ")
    if not colon or " " in where:
        return None
    return Failure(where, what, todo="\n".join(line.removeprefix("  ") for line in rest))


def unknown_name(where: str, kind: str, name: str, known: list[str]) -> Failure:
    """A name that does not exist is answered with those that do."""
    return Failure(where, f"there is no {kind} {name!r}", todo=f"Known: {', '.join(known)}.")
