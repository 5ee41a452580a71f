"""A process's log as JSON, an object a line: for programs that collect logs. And such a line again for people.

What is handed in is an event of Twisted's, as its own observers get it; nothing of Twisted is needed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

# What an event may carry of what it is about; a line has it when it is known.
ABOUT = ("builder", "build", "buildid", "worker")
# How Buildbot writes of a build and of a worker, whose own messages are text alone.
_BUILD = re.compile(r"<Build (?P<builder>\S+) number:(?P<build>\d+|None) ")
_WORKER = re.compile(r"<WorkerForBuilder builder='(?P<builder>[^']*)' worker='(?P<worker>[^']*)'")
# A worker's master names the run's directory by the build's id.
_RUN = re.compile(r"'--run', '\.\./run/(?P<buildid>\d+)'")


def json_line(event: Mapping[str, Any], message: str, known: Mapping[str, Any]) -> str:
    """An event as a line. message: its text, without a traceback. known: of the process, or of where it was logged.

    `time` is UTC as RFC 3339 has it, to the microsecond. `level` is debug, info, warn, error or critical. `system` is
    what stands in brackets in a log for people, `namespace` the part of the program that spoke. "" for an
    event without any text, by which Buildbot counts: it is in no log for people either.
    """
    failure = event.get("log_failure") or event.get("failure")
    if not message and failure is None:
        return ""
    level = event.get("log_level")
    said: dict[str, Any] = {
        "time": datetime.fromtimestamp(event.get("log_time") or 0, UTC).isoformat(timespec="microseconds"),
        "level": getattr(level, "name", None) or "info",
        "namespace": event.get("log_namespace") or "-",
    }
    if event.get("log_system") not in (None, "-"):
        said["system"] = str(event["log_system"])
    said["message"] = message
    about = {**_named_in(message), **known, **{name: event[name] for name in ABOUT if name in event}}
    said.update({name: value for name, value in about.items() if value is not None})
    if failure is not None:
        # An old-style event has its traceback in its text already; the reason that was given with it is its message.
        if "failure" in event:
            said["message"] = f"{event.get('why') or 'Unhandled Error'}: {failure.type.__name__}: {failure.value}"
        said["traceback"] = failure.getTraceback()
    # Whatever is no text, number or list is written as it would be printed: a log is no place to fail in.
    line = json.dumps(said, ensure_ascii=False, default=str)
    # Half of a character, which no encoding has, as JSON's own escape.
    return line.encode("utf-8", "backslashreplace").decode() + "\n"


def _named_in(message: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pattern in (_BUILD, _WORKER, _RUN):
        if match := pattern.search(message):
            found.update(match.groupdict())
    for name in ("build", "buildid"):
        if name in found:
            found[name] = int(found[name]) if found[name] != "None" else None
    return found


def for_people(line: str) -> list[str]:
    """A line of a log as lines for people; one that is no JSON object of this kind as it is."""
    try:
        said = json.loads(line)
        head = f"{said['time']} [{said.get('system') or said['namespace']}] {said['message']}"
    except (ValueError, TypeError, KeyError):
        return [line]
    return [*head.splitlines(), *str(said.get("traceback", "")).splitlines()]
