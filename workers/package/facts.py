"""What an interpreter says of itself, asked in a clean environment, with the place where it stands taken out again."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from workers.errors import Failure

# What stands for the place of the installation in PYTHON.json; readers of the format look for it.
PREFIX = "/install"
_SCRIPT = Path(__file__).with_name("ask_interpreter.py")
_PATIENCE_S = 60


@dataclass(frozen=True)
class InterpreterFacts:
    """The answers of `ask_interpreter.py`. `paths` are relative to the archive's `python/`; texts name PREFIX."""

    abi_tag: str
    platform_tag: str
    cache_tag: str
    hex_version: int
    implementation_name: str
    implementation_version: list[str]
    version: str
    paths: dict[str, str]
    paths_abstract: dict[str, str]
    config_vars: dict[str, str]
    prefix: str
    stdlib_platform_config: str
    source_suffixes: list[str]
    bytecode_suffixes: list[str]
    debug_bytecode_suffixes: list[str]
    optimized_bytecode_suffixes: list[str]
    extension_suffixes: list[str]
    bytecode_magic: str

    @property
    def major_minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def ask(interpreter: Path, install: Path) -> InterpreterFacts:
    """Asks `interpreter` of the tree `install`. Raises Failure when it does not run or speaks of another tree."""
    command = [str(interpreter), "-I", "-B", str(_SCRIPT)]
    environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "HOME": "/"}
    try:
        run = subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _silent(interpreter, str(error)) from error
    if run.returncode != 0:
        raise _silent(interpreter, f"exit code {run.returncode}\n{run.stderr.strip()[-2000:]}")
    try:
        return without_place(run.stdout, install)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise _silent(interpreter, f"no such answer ({error}): {run.stdout[:500]}") from error


def without_place(answer: str, install: Path) -> InterpreterFacts:
    """The facts in an answer, in which the tree's own place becomes `/install`. Raises Failure for another tree's."""
    facts = msgspec.json.decode(answer, type=InterpreterFacts)
    if facts.prefix != str(install):
        raise Failure(
            "package",
            "the packaged interpreter believes to be somewhere else than it is",
            wanted=f"sys.prefix {install}",
            found=f"sys.prefix {facts.prefix}",
            todo="It does not find its own tree, so it would not work after a move. See the edits to getpath.",
        )
    neutral = msgspec.to_builtins(facts)
    neutral["prefix"] = PREFIX
    neutral["config_vars"] = {k: v.replace(str(install), PREFIX) for k, v in facts.config_vars.items()}
    neutral["stdlib_platform_config"] = facts.stdlib_platform_config.replace(str(install), PREFIX)
    return msgspec.convert(neutral, InterpreterFacts)


def _silent(interpreter: Path, found: str) -> Failure:
    return Failure(
        "package",
        f"the packaged interpreter {interpreter.name} does not run",
        wanted="an answer to questions about itself",
        found=found,
        todo="PYTHON.json is filled by running it, so packing needs a worker of the target's own system and processor.",
    )
