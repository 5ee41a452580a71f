"""Makes an image of a build environment on a worker, and has the master record it when it is good."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from steps.program import Limits, WorkerProgram
from steps.results import SUCCESS
from workers.errors import Failure
from workers.progress import counted, size
from workers.reports.image import ImageReport

ID = re.compile(r"\Asha256:[0-9a-f]{64}\Z")


class Recorded(Protocol):
    """What the step needs of a record."""

    @property
    def id(self) -> str: ...


Keep = Callable[[ImageReport, str, int], Recorded]


class MakeImage(WorkerProgram[ImageReport]):
    """Makes one image, from what the engine (or the registry) has of its layers.

    Proves: the engine has it by the id that is recorded, and the image's own tests passed in a container of that id, in
    a worker's confinement.
    Leaves: the image in the engine, tagged by the digest of its inputs; the id in the master's record, which is what
    containers are started by; older images dropped.
    """

    program = "image"
    report = ImageReport
    report_name = "image"

    def __init__(self, image: str, keep: Keep, options: Sequence[str], limits: Limits | None = None, **kwargs: Any):
        super().__init__([*options, f"--name={image}"], limits, name=f"image-{image}", **kwargs)
        self.image = image
        self.keeper = keep
        self.made: ImageReport | None = None

    def objection(self, report: ImageReport) -> str | None:
        if report.name != self.image:
            return f"image: the report is of {report.name}, {self.image} was to be made"
        if not ID.match(report.id):
            return f"image: the report names no image by its id, but {report.id[:80]!r}"
        return None

    async def keep(self, report: ImageReport) -> None:
        self.made = report

    async def run(self) -> int:
        result = await super().run()
        if result != SUCCESS or self.made is None:
            return result
        try:
            recorded = self.keeper(self.made, datetime.now(UTC).isoformat(timespec="seconds"), self.build.buildid)
        except Failure as failure:
            return await self.refuse(str(failure))
        self.setProperty(f"image_{self.image}", recorded.id, self.name)
        return result

    def summary(self, report: ImageReport) -> str:
        how = "was there" if report.origin == "there" else "built"
        other = "; its builder called it otherwise" if report.printed else ""
        dropped = f", {len(report.dropped)} older dropped" if report.dropped else ""
        tests = f"{counted(len(report.smoke), 'test')} passed"
        return f"{self.image} {report.id[7:19]} {how}, {size(report.size)}, {tests}{dropped}{other}"
