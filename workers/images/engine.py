"""A Docker engine, through its own command line client. What an image is called by is always asked of the engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from workers.errors import Failure

ID = re.compile(r"\Asha256:[0-9a-f]{64}\Z")
BUILD_S = 3 * 3600
ASK_S = 120


@dataclass(frozen=True)
class Engine:
    """host: `unix:///var/run/docker.sock`, or what DOCKER_HOST takes else."""

    host: str

    def _environment(self) -> dict[str, str]:
        # The classic builder: the same in every engine, with no plugin. Its cache are the engine's own layers.
        return {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0", "DOCKER_CLI_HINTS": "false"}

    def run(self, *arguments: str, seconds: float = ASK_S, log: BinaryIO | None = None, fine: bool = False) -> str:
        """What the client prints. Raises Failure when it is not there, takes too long or (unless `fine`) fails."""
        command = ["docker", *arguments]
        try:
            done = subprocess.run(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log or subprocess.PIPE,
                stderr=subprocess.STDOUT if log else subprocess.PIPE, check=False, timeout=seconds,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise Failure(
                "image", "there is no Docker client here", wanted="`docker` on PATH", found=str(error),
                todo="On Debian, as root: apt-get install docker.io",
            ) from error  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Failure(
                "image", f"docker {arguments[0]} did not end within {seconds:.0f} s", found=self.host,
                todo="Is that engine alive? `docker info` says.",
            ) from error  # fmt: skip
        said = (done.stdout or b"").decode(errors="replace").strip()
        if done.returncode and not fine:
            found = (done.stderr or b"").decode(errors="replace").strip()[-1500:] or said[-1500:]
            raise Failure(
                "image", f"docker {arguments[0]} ended with {done.returncode}", found=found or "see the log",
                todo=f"The engine is {self.host}; [images] and [workers.docker] in settings.toml name it.\n"
                "Whoever runs the worker has to be allowed to use it (on Debian: the group docker).",
            )  # fmt: skip
        return said

    def identity(self) -> str:
        """The engine's own id, so that an image's is never taken for one of another engine."""
        return self.run("info", "--format", "{{.ID}}")

    def inspect(self, image: str) -> dict[str, Any] | None:
        """What the engine knows of an image by id or tag; None when it has none."""
        said = self.run("image", "inspect", image, fine=True)
        found = json.loads(said) if said.startswith("[") else []
        return dict(found[0]) if found else None

    def id_of(self, image: str) -> str | None:
        """The id under which the engine has it: what a container of it is started by."""
        found = self.inspect(image)
        if found is None:
            return None
        if not ID.match(str(found["Id"])):
            raise Failure(
                "image", "the engine calls an image by something that is no id", wanted="sha256:…",
                found=str(found["Id"])[:100],
                todo="pymint does not know this engine: docs/images.md says which it does.",
            )  # fmt: skip
        return str(found["Id"])

    def load(self, archive: Path) -> str:
        """Loads a saved image; the id that the engine has it under then, which need not be the one it was saved by.

        Asked of the engine by what `load` says that it loaded: a builder with another image store prints its own.
        """
        said = self.run("load", "--input", str(archive), seconds=BUILD_S)
        names = re.findall(r"^Loaded image(?: ID)?: (\S+)$", said, re.MULTILINE)
        found = self.id_of(names[-1]) if names else None
        if found is None:
            raise Failure(
                "image", "the engine does not say what it loaded", wanted="Loaded image: …", found=said[-300:],
                todo="`docker image ls` shows what is there; build the image anew.",
            )  # fmt: skip
        return found
