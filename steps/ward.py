"""What a step says to the ward, the master's service that looks after workers (master/fleet/ward.py)."""

from __future__ import annotations

from typing import Any, Protocol

from steps.results import FAILURE
from workers.fitness import Fitness

WARD = "ward"
# The word before the colon of a Failure that is the machine's, not the commit's: another worker may do better.
MACHINE_WORDS = ("disk",)


class Ward(Protocol):
    """Looks after workers. The two answers are results of a step."""

    def fit(self, worker: Any, fitness: Fitness) -> None: ...

    async def unfit(self, worker: Any, build: Any, fitness: Fitness | None, problem: str) -> int: ...

    async def give_back(self, worker: Any, build: Any, problem: str) -> int: ...


def ward_of(master: Any) -> Ward | None:
    """The ward; None in a master that has none, as those of some tests."""
    found: Ward | None = master.service_manager.namedServices.get(WARD) if hasattr(master, "service_manager") else None
    return found


async def give_back_if_the_machines(step: Any, problem: str) -> int:
    """RETRY when another worker is to build it, because this one's machine is the matter; FAILURE otherwise."""
    if problem.partition(": ")[0] not in MACHINE_WORDS:
        return FAILURE
    ward = ward_of(step.master)
    return FAILURE if ward is None else await ward.give_back(step.worker, step.build, problem)
