"""Makes an image, tries it, and says by which id the engine has it."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers.debian_root import bootstrap
from workers.errors import Failure
from workers.images import context
from workers.images.confinement import seccomp, security_options
from workers.images.data import ARCHITECTURES, IMAGES, ImageSpec, digest_of, image_named
from workers.images.engine import BUILD_S, Engine
from workers.reports.image import SmokeTest
from workers.room import in_use

SMOKE_S = 300
LABEL = "pymint.image"


@dataclass(frozen=True)
class Made:
    """An image as the engine has it. printed: the id that the builder wrote down, where it is another one."""

    tag: str
    id: str
    printed: str
    origin: str
    size: int
    inputs: str
    parts: dict[str, str]


@dataclass(frozen=True)
class Workplace:
    """Where and with what. registry: of a layer cache that machines share; None: the engine's own layers."""

    engine: Engine
    state: Path
    log: Path
    registry: str | None
    say: Callable[[str], None]


def architecture_here() -> str:
    """Raises Failure on a machine that no target is of."""
    found = ARCHITECTURES.get(platform.machine())
    if found is None:
        raise Failure(
            "image", "no target is of this machine's processor", wanted=" or ".join(ARCHITECTURES),
            found=platform.machine(), todo="Build images on a worker of their own architecture.",
        )  # fmt: skip
    return found


def make_image(name: str, place: Workplace, *, anew: bool = False) -> Made:
    """The image of these very inputs: the one that the engine has already, unless `anew`, or a new one."""
    spec = image_named(name)
    dockerfile = IMAGES / name / "Dockerfile"
    architecture = architecture_here()
    packages = context.packages_of(spec)
    parts = context.parts_of(spec, dockerfile, architecture, packages)
    inputs = digest_of(parts)
    tag = f"pymint/{name}:{architecture}-{inputs[:24]}"
    there = None if anew else place.engine.id_of(tag)
    if there is not None:
        place.say(f"{name}: {tag} is there")
        return _made(place.engine, tag, there, "", "there", inputs, parts)
    base = _base(spec, architecture, place)
    wheels = context.fetch_wheels(spec, place.state, place.log) if spec.wheels else None
    with tempfile.TemporaryDirectory(dir=_tmp(place), prefix="image-") as directory, in_use(Path(directory)):
        context.write_context(spec, dockerfile, packages, wheels, Path(directory))
        printed = _build(name, tag, inputs, base, Path(directory), place)
    found = place.engine.id_of(tag)
    if found is None:
        raise Failure(
            "image", f"the builder ended well, but the engine has no {tag}", wanted="an image by that name",
            found="none", todo=f"The whole log: {place.log}. A builder with a store of its own has to load it.",
        )  # fmt: skip
    place.say(f"{name}: built {tag}, which the engine has as {found[:19]}")
    return _made(place.engine, tag, found, printed if printed != found else "", "built", inputs, parts)


def _tmp(place: Workplace) -> Path:
    (place.state / "tmp").mkdir(parents=True, exist_ok=True)
    return place.state / "tmp"


def _made(engine: Engine, tag: str, found: str, printed: str, origin: str, inputs: str, parts: dict[str, str]) -> Made:
    inspected = engine.inspect(found) or {}
    return Made(tag, found, printed, origin, int(inspected.get("Size", 0)), inputs, parts)


def _base(spec: ImageSpec, architecture: str, place: Workplace) -> str:
    """The id of a minimal Debian of that suite: the engine's own, or made by debootstrap and imported.

    What is newer comes from the packages that are installed on top, whose versions are part of the inputs.
    """
    tag = f"pymint/base:{spec.suite}-{architecture}"
    found = place.engine.id_of(tag)
    if found is not None:
        return found
    place.say(f"base: Debian {spec.suite} by debootstrap ...")
    with tempfile.TemporaryDirectory(dir=_tmp(place), prefix="base-") as directory, in_use(Path(directory)):
        root = Path(directory) / "root"
        bootstrap(root, spec.suite, (), place.log)
        packed = Path(directory) / "root.tar"
        command = ["tar", "--create", "--file", str(packed), "--directory", str(root), "--sort=name", "--mtime=@0",
                   "--numeric-owner", "--one-file-system", "."]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure("image", "the base can't be packed", found=done.stderr.strip()[-500:], todo="Is there room?")
        shutil.rmtree(root, ignore_errors=True)
        place.engine.run("import", str(packed), tag, seconds=BUILD_S)
    found = place.engine.id_of(tag)
    if found is None:
        raise Failure("image", f"the engine did not take {tag}", todo="`docker image ls` shows what it has.")
    return found


def _build(name: str, tag: str, inputs: str, base: str, directory: Path, place: Workplace) -> str:
    """Builds with the engine's network, which reaches what the machine reaches. The id that the builder wrote down."""
    cache = f"{place.registry}/{name}:cache" if place.registry else None
    options = []
    if cache is not None:
        place.engine.run("pull", cache, seconds=BUILD_S, fine=True)
        options.append(f"--cache-from={cache}")
    written = directory.with_name(f"{directory.name}.id")
    try:
        with place.log.open("ab") as stream:
            place.engine.run(
                "build", "--network=host", f"--tag={tag}", f"--build-arg=BASE={base}", f"--label={LABEL}={name}",
                f"--label=pymint.inputs={inputs}", f"--iidfile={written}", "--force-rm", *options, str(directory),
                seconds=BUILD_S, log=stream,
            )  # fmt: skip
        return written.read_text().strip()
    except Failure as failure:
        tail = place.log.read_text(errors="replace").splitlines()[-20:]
        raise Failure(
            "image", f"{name} can't be built: {failure.what}", found="the end of its log:\n"
            + "\n".join(f"          {line}" for line in tail), todo=f"The whole log: {place.log}",
        ) from failure  # fmt: skip
    finally:
        written.unlink(missing_ok=True)


def share(made: Made, name: str, place: Workplace) -> None:
    """Puts a good image where other engines and the next build's cache find it."""
    if place.registry is None:
        return
    for tag in (made.tag.rpartition(":")[2], "cache"):
        target = f"{place.registry}/{name}:{tag}"
        place.engine.run("tag", made.id, target)
        place.engine.run("push", target, seconds=BUILD_S)


def smoke(name: str, image: str, place: Workplace) -> list[SmokeTest]:
    """Runs the image's own tests, each in a fresh container that may do what a worker's may, and no more."""
    results = []
    with tempfile.TemporaryDirectory(dir=_tmp(place)) as directory, in_use(Path(directory)):
        profile = Path(directory) / "seccomp.json"
        profile.write_text(seccomp())
        options = [f"--security-opt={one}" for one in security_options(str(profile))]
        for command, wanted in image_named(name).smoke:
            said = place.engine.run(
                "run", "--rm", "--init", "--network=none", "--cap-drop=ALL", *options, "--pids-limit=512",
                "--entrypoint=/bin/sh", image, "-c", f"{{ {command}; }} 2>&1", seconds=SMOKE_S, fine=True,
            )  # fmt: skip
            last = said.splitlines()[-1] if said else ""
            found = next((line for line in said.splitlines() if wanted in line), last)
            results.append(SmokeTest(command, wanted in said, found[:300]))
            place.say(f"{name}: {'✓' if wanted in said else '✗'} {command[:60]}: {found[:100]}")
    return results


def prune(name: str, keep: int, keep_id: str, engine: Engine) -> list[str]:
    """Drops all but the newest `keep` images of that name, and never the one just made nor one that is in use."""
    listed = engine.run("image", "ls", "--no-trunc", "--filter", f"label={LABEL}={name}", "--format", "{{.ID}}")
    found = []
    for image in dict.fromkeys(listed.split()):
        inspected = engine.inspect(image)
        if inspected is not None:
            found.append((re.sub(r"Z$", "", inspected["Created"]), image))
    dropped = []
    for _, image in sorted(found, reverse=True)[keep:]:
        if image != keep_id and not engine.run("ps", "--all", "--quiet", "--filter", f"ancestor={image}"):
            engine.run("image", "rm", "--force", image, fine=True)
            if engine.inspect(image) is None:
                dropped.append(image)
    return dropped
