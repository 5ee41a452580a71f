"""Bytecode for a tree's library, made by the tree's own interpreter so that it is what that would make itself.

Unchecked-hash files (PEP 552): no times in them, and an interpreter that reads one does not look at the source. The
name that code objects carry is relative to the tree, `lib/python3.13/os.py`; importing puts the true path in its place.

Two runs have to give the same bytes. An object is marked as shared when something else in the process refers to it, too
(marshal's FLAG_REF; cpython #78274), so what was compiled before counts: the files are dealt out to a fixed number of
processes, each of which takes its own in one order, however many of them run at a time.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workers.errors import Failure

SHARES = 16
_PROGRAM = Path(__file__).with_name("inside") / "compile_files.py"
# The order of sets in constants goes by hashes in 3.10.
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "HOME": "/"}
_PATIENCE_S = 1800


def compile_tree(interpreters: Sequence[Sequence[str]], tree: Path, files: Sequence[str], threads: int) -> str:
    """Compiles the files of a tree, names relative to it; returns what ran.

    interpreters: commands to try, the tree's own first; the next one when a command is not for this machine.
    Raises Failure when none runs, or for a file that does not compile.
    """
    for command in interpreters:
        try:
            with ThreadPoolExecutor(max_workers=threads) as pool:
                said = list(pool.map(lambda number: _share(command, tree, files, number), range(SHARES)))  # noqa: B023
        except OSError as error:
            if error.errno not in (errno.ENOEXEC, errno.ENOENT):
                raise
            continue
        problems = [line for text in said for line in text]
        if problems:
            raise Failure(
                "derive",
                f"{len(problems)} files of the library do not compile",
                wanted="bytecode of every module",
                found="\n".join(problems[:5]),
                todo="Mend the file, or leave it out of the smaller flavours (workers/derive/layout.py).",
            )
        return command[0]
    raise Failure(
        "derive",
        "nothing on this machine can compile the archive's library",
        wanted="an interpreter of the archive's own release that runs here",
        found=", ".join(command[0] for command in interpreters),
        todo="Derive on a worker of the target's own system and processor, or set up its emulation (qemu-user).",
    )


def _share(command: Sequence[str], tree: Path, files: Sequence[str], number: int) -> Iterator[str]:
    """Compiles one share; returns the lines of what went wrong."""
    try:
        run = subprocess.run(
            [*command, "-S", "-s", "-B", str(_PROGRAM), str(tree), str(number), str(SHARES)],
            input="\n".join(files), text=True, capture_output=True, check=False,
            env=_ENVIRONMENT, cwd="/", timeout=_PATIENCE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return iter([f"the interpreter did not end within {_PATIENCE_S} s"])
    lines = run.stderr.strip().splitlines()
    if run.returncode and not lines:
        lines = [f"the interpreter ended with {run.returncode} without a word"]
    return iter(lines if run.returncode else [])
