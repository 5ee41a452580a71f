"""The master's log as `[logs]` has it: by Twisted's own observers, and what a line is about where it is known."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from functools import partial
from typing import Any

from buildbot.process.build import Build
from buildbot.process.buildstep import BuildStep
from twisted.internet import defer
from twisted.logger import FileLogObserver, eventAsText
from twisted.python.log import FileLogObserver as TextObserver

from master.home import Home
from master.settings import load
from workers.errors import Failure
from workers.logs import json_line
from workers.model import load_matrix

# The build for which the code that logs works. Twisted's coroutines hand it on to whatever they call and wait for.
_BUILD: contextvars.ContextVar[Any] = contextvars.ContextVar("pymint_build", default=None)


def observer_of(home: Home, log: Any) -> Any:
    """What twistd hands each event to. log: the open file."""
    if format_of(home) != "json":
        return TextObserver(log).emit
    follow_builds()
    master = {"master": home.name} if home.name is not None else {}
    return FileLogObserver(log, lambda event: line_of(event, {**master, **about(_BUILD.get())}))


def format_of(home: Home) -> str:
    """Of settings that do not hold the start itself tells what is wrong; until then it is told as text."""
    try:
        return load(home, load_matrix()).logs.format
    except Failure:
        return "text"


def line_of(event: Any, known: Mapping[str, Any]) -> str:
    message = eventAsText(event, includeTraceback=False, includeTimestamp=False, includeSystem=False)
    return json_line(event, message.strip(), known)


def about(build: Any) -> dict[str, Any]:
    """What is known of a Build; it gets its number, its id and its worker while it starts."""
    if build is None:
        return {}
    worker = getattr(build, "workername", None)
    return {
        "builder": build.builder.name,
        "build": build.number,
        "buildid": build.buildid,
        "worker": None if worker is None else str(worker),
    }


def follow_builds() -> None:
    """From here on each build's own code knows its build. Before the first one begins; safely repeated."""
    plain, step = Build.startBuild, BuildStep.startStep
    if getattr(plain, "followed", False):
        return

    def started(self: Any, *arguments: Any) -> Any:
        context = contextvars.copy_context()
        context.run(_BUILD.set, self)
        return context.run(plain, self, *arguments)

    def stepped(self: Any, *arguments: Any) -> Any:
        # Buildbot yields what `run` returns, and a coroutine that is yielded begins outside of its caller's context.
        self.run = partial(defer.maybeDeferred, self.run)
        return step(self, *arguments)

    started.followed = True  # type: ignore[attr-defined]
    Build.startBuild, BuildStep.startStep = started, stepped
