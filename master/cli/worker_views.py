"""Workers as the REST API tells of them, in what `./mint worker` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from master import settings as farm_settings
from master.cli.context import Farm
from master.cli.rest import Rest
from master.fleet.notices import DOCTOR, NOTICES, Notice
from master.settings import WorkerSettings
from workers.errors import unknown_name
from workers.fitness import Fitness


@dataclass(frozen=True)
class Hand:
    """A worker of settings.toml. builds: the ids of what it builds. reason: why it is paused."""

    id: int
    name: str
    targets: tuple[str, ...]
    kind: str
    connected: bool
    paused: bool
    reason: str
    builds: tuple[int, ...]
    fitness: Fitness | None
    notices: tuple[Notice, ...]

    @property
    def state(self) -> str:
        if self.paused:
            done = "retired" if self.reason == "retired" else f"paused ({self.reason})" if self.reason else "paused"
            return f"{done}, finishing build {', '.join(map(str, self.builds))}" if self.builds else done
        if self.builds:
            return f"builds {', '.join(map(str, self.builds))}"
        if self.connected:
            return "waits for work"
        return "is started when there is work" if self.kind != "machine" else "NOT CONNECTED"


def decoded(text: Any, kind: Any, otherwise: Any) -> Any:
    """JSON that stands in a worker's info; `otherwise` where there is none that can be read."""
    try:
        return msgspec.json.decode(text or b"", type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, TypeError):
        return otherwise


def hand_of(row: Mapping[str, Any], known: WorkerSettings, building: Mapping[int, list[int]]) -> Hand:
    info = row["workerinfo"] or {}
    return Hand(
        id=row["workerid"],
        name=known.name,
        targets=(*known.targets, *known.cross),
        kind="docker" if known.docker else "kubernetes" if known.kubernetes else "machine",
        connected=bool(row["connected_to"]),
        paused=bool(row["paused"]),
        reason=row["pause_reason"] or "",
        builds=tuple(building.get(row["workerid"], [])),
        fitness=decoded(info.get(DOCTOR), Fitness, None),
        notices=tuple(decoded(info.get(NOTICES), list[Notice], [])),
    )


def hands_of(farm: Farm, rest: Rest) -> list[Hand]:
    """Those of settings.toml that the master has taken up, in that order."""
    rows = {row["name"]: row for row in rest.rows("workers", "workers")}
    building: dict[int, list[int]] = {}
    for build in rest.rows("builds", "builds", complete="false"):
        building.setdefault(build["workerid"], []).append(build["buildid"])
    known = farm_settings.workers_of(farm.settings)
    return [hand_of(rows[one.name], one, building) for one in known if one.name in rows]


def hand_named(farm: Farm, rest: Rest, name: str) -> Hand:
    """Raises Failure, with the names that there are, for an unknown one."""
    hands = {hand.name: hand for hand in hands_of(farm, rest)}
    if name not in hands:
        raise unknown_name("worker", "worker", name, list(hands))
    return hands[name]


def lines_of(hands: list[Hand], now: float) -> list[str]:
    """A worker in two or three lines: what it does; how its machine is; what happened to it last."""
    lines = []
    for hand in hands:
        lines.append(f"{hand.name}: {hand.state}")
        what = [", ".join(hand.targets) + ("" if hand.kind == "machine" else f", {hand.kind}")]
        if (fit := hand.fitness) is not None:
            what.append(f"{fit.disk_free_gb:.1f} of {fit.disk_total_gb:.1f} GB free")
            if fit.clock_offset_s is not None:
                what.append(f"clock {fit.clock_offset_s:+.1f} s")
            what += [f"{name} {fit.tools[name]}" for name in ("clang",) if name in fit.tools]
            what.append(f"seen {fit.checked_at}")
        lines.append(f"    {'; '.join(what)}")
        lines += [f"    not fit: {problem}" for problem in (fit.problems if fit is not None else [])]
        lines += [f"    {one.at}  {one.text}" for one in hand.notices[-1:]]
    return lines or ["No workers: ./mint worker invite NAME --target TRIPLE"]
