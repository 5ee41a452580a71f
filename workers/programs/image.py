"""`image`: makes a build environment as a Docker image, tries it, and says by which id the engine has it."""

from __future__ import annotations

import click

from workers.errors import Failure
from workers.images.engine import Engine
from workers.images.making import Workplace, architecture_here, make_image, prune, share, smoke
from workers.programs.common import Places, Stopwatch, failing_plainly, places
from workers.progress import Progress, seconds, size
from workers.reports.base import write_report
from workers.reports.image import ImageReport


@click.command("image")
@click.option("--name", required=True, help="A directory of cpython-unix/images.")
@click.option(
    "--engine", "host", default="unix:///var/run/docker.sock", show_default=True, help="The engine's address."
)
@click.option("--registry", help="Where layers are cached and images are shared, HOST[:PORT]/PATH.")
@click.option(
    "--keep", type=click.IntRange(min=1), default=3, show_default=True, help="How many of it the engine keeps."
)
@click.option("--anew", is_flag=True, help="Also where the engine has one of the same inputs.")
@places
@failing_plainly
def command(name: str, host: str, registry: str | None, keep: int, anew: bool, places: Places) -> None:
    """Makes the image NAME for this machine's architecture, with the engine's layers (or a registry's) as cache."""
    watch, progress = Stopwatch(), Progress()
    engine = Engine(host)
    places.logs.mkdir(exist_ok=True)
    place = Workplace(engine, places.state, places.logs / f"image-{name}.log", registry, progress.line)
    made = make_image(name, place, anew=anew)
    tests = smoke(name, made.id, place)
    failed = None
    if bad := [one for one in tests if not one.passed]:
        failed = Failure(
            "image", f"{name} is no good: {len(bad)} of {len(tests)} tests failed in a container of it",
            found="\n          ".join(f"{one.command}: {one.said}" for one in bad),
            todo="Nothing uses this image. Mend its Dockerfile, or what docs/images.md says of the engine's machine.",
        )  # fmt: skip
    dropped = [] if failed else prune(name, keep, made.id, engine)
    if failed is None:
        share(made, name, place)
    report = ImageReport(
        schema="pymint/image/1",
        ok=failed is None,
        name=name,
        architecture=architecture_here(),
        inputs=made.inputs,
        parts=made.parts,
        tag=made.tag,
        id=made.id,
        printed=made.printed,
        engine=engine.identity(),
        origin="there" if made.origin == "there" else "built",
        size=made.size,
        smoke=tests,
        dropped=dropped,
        measure=watch.measure(),
        failed=None if failed is None else str(failed),
    )
    write_report(report, places.reports / "image.json")
    if failed is not None:
        raise failed
    progress.line(f"{name}: {made.id[:19]}, {size(made.size)}, {seconds(report.measure.wall_s)}")
