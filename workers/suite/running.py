"""Runs CPython's test files on an unpacked tree: one sandbox a file, as many at a time as there are processors.

Each file gets a sandbox of its own, so no test finds another one's ports, files, semaphores or processes, and whatever
it leaves running ends with it. Nobody may write in the tree, at the plain path of a recipe's PREFIX: a space or a
non-ASCII letter in it breaks upstream's tests of paths and shebangs without saying anything of the tree, and the proof
has worked at such a path already. The directory that regrtest works in has such a letter.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from workers.errors import Failure
from workers.reports.suite import Mode
from workers.sandbox import BUILD, DEPS, OUT, TOOLCHAIN, Ended, run_in_sandbox
from workers.suite.data import Running
from workers.suite.junit import MOST_XML, Left, Outcome, outcome_of

_HERE = Path(__file__).parent
_FILE = re.compile(r"\A[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*\Z")
_NOT_ENTERED = 125  # what a sandbox ends with that could not be entered (workers/enter_sandbox.py)
# What regrtest needs after its own time limit to write tracebacks and end.
_GRACE_S = 60
# A test that fails in a loop writes without end; what went wrong last is at the end. All names of tests are 20 kB.
_MOST_LOG = 4_000_000
# Those of `make test`; -E would take nothing away here, but some tests look for it.
_OPTIONS = ("-u", "-W", "default", "-bb", "-E")


@dataclass(frozen=True)
class Ran:
    """A test file that ran in one mode."""

    file: str
    mode: Mode
    outcome: Outcome
    ended: Ended


@dataclass(frozen=True)
class Tree:
    """An unpacked tree, prepared for tests. python: the interpreter's path below `root`."""

    root: Path
    python: str
    scratch: Path
    running: Running

    def prepare(self) -> None:
        """Makes what all sandboxes share, and compiles the library once, as it can't be written later."""
        tools = self.scratch / "tools" / "bin"
        tools.mkdir(parents=True)
        (self.scratch / "void").mkdir()
        for name in self.running.tools:
            # On a Mac with Homebrew's coreutils `timeout`, which macOS lacks, has a g in front.
            if (path := shutil.which(name) or shutil.which(f"g{name}")) is not None:
                (tools / name).symlink_to(path)
        library = next((self.root / "lib").glob("python3.*"))
        here = f"{BUILD}/{library.relative_to(self.root).as_posix()}"
        command = [f"{BUILD}/{self.python}", "-m", "compileall", "-q", "-j0", "-s", BUILD, "-p", DEPS, here]
        # A few files of the tests are not meant to compile, so its exit code says nothing.
        self._enter("compiling", command, build=self.root)
        shutil.rmtree(self.root / "tmp", ignore_errors=True)
        seal(self.root)

    def files(self) -> list[str]:
        """The names of all test files, as regrtest lists them. Raises Failure when it does not."""
        ended, log = self._enter("listing", [f"{DEPS}/{self.python}", "-m", "test", "--list-tests"])
        names = [line for line in log.splitlines() if _FILE.match(line)]
        if ended.exit_code != 0 or not names:
            raise _unable("regrtest does not list its tests", log)
        return names

    def run(self, file: str, mode: Mode) -> Ran:
        """Runs a test file. Raises Failure when the sandbox could not be entered."""
        limit = self.running.timeout_s
        arguments = ["--junit-xml", f"{OUT}/junit.xml", f"--timeout={limit}", "-u", self.running.resources, file]
        code = (_HERE / "complete_junit.py").read_text()
        command = [
            "timeout", "--kill-after=10", str(limit + _GRACE_S),
            f"{DEPS}/{self.python}", *_OPTIONS, "-c", code, *arguments,
        ]  # fmt: skip
        place = f"{mode} {file}"
        try:
            ended, log = self._enter(place, command, fips=mode == "on")
            xml = self.scratch / place / "out" / "junit.xml"
            left = Left(ended.exit_code, ended.wall_s, limit, _written(xml), log)
        finally:
            remove(self.scratch / place)
        if ended.exit_code == _NOT_ENTERED:
            raise _unable("a test could not be started", log)
        return Ran(file, mode, outcome_of(file, left), ended)

    def _enter(
        self, place: str, command: Sequence[str], *, fips: bool = False, build: Path | None = None
    ) -> tuple[Ended, str]:
        here = self.scratch / place
        for name in ("build/home", "out"):
            (here / name).mkdir(parents=True)
        ended = run_in_sandbox(
            command,
            build=build or here / "build",
            deps=self.root,
            out=here / "out",
            toolchain=self.scratch / "tools",
            data=self.scratch / "void",
            environment=environment(fips=fips),
            log=here / "log",
            directory=BUILD,
            ordinary_user=True,
            deps_read_only=False,
        )
        return ended, _end_of(here / "log")


def _end_of(log: Path) -> str:
    """All that a test wrote, or the last of it where that is very much."""
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _MOST_LOG))
        return stream.read(_MOST_LOG).decode("utf-8", "replace")


def _written(path: Path) -> bytes | None:
    """What a test left, as far as it is read, unless it left a link to something of this machine's."""
    if not path.is_file() or path.is_symlink():
        return None
    with path.open("rb") as stream:
        return stream.read(MOST_XML + 1)


def environment(*, fips: bool) -> dict[str, str]:
    """All that a test finds in its environment."""
    return {
        "PATH": f"{TOOLCHAIN}/bin",
        "HOME": f"{BUILD}/home",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "xterm",
        **({"PYTHON_FIPS": "1"} if fips else {}),
    }


def run_all(tree: Tree, wanted: Sequence[tuple[str, Mode]], jobs: int, done: Callable[[int, Ran], None]) -> list[Ran]:
    """Runs files side by side, begun in the given order; `done` is told of each and how many there are by then."""
    ran: list[Ran] = []
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        waiting = [pool.submit(tree.run, file, mode) for file, mode in wanted]
        try:
            for number, future in enumerate(as_completed(waiting), 1):
                ran.append(future.result())
                done(number, ran[-1])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sorted(ran, key=lambda one: (one.mode, one.file))


def seal(root: Path) -> None:
    """Takes the right to write in a tree from everybody.

    As who uses a Python that another user installed finds it. On a read-only mount dozens of tests fail when they tidy
    up beside the standard library: there removing what does not exist is EROFS, not ENOENT.
    """
    for name, _, files in os.walk(root):
        for path in (Path(name), *(Path(name, file) for file in files)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)


def remove(directory: Path) -> None:
    """Removes a directory, whatever tests have made of the permissions in it."""
    for name, directories, _ in os.walk(directory):
        for inner in (Path(name) / one for one in directories):
            if not inner.is_symlink():
                inner.chmod(0o700)  # before os.walk descends into it
    shutil.rmtree(directory, ignore_errors=True)


def _unable(what: str, log: str) -> Failure:
    return Failure(
        "test-suite", what, found="\n".join(log.strip().splitlines()[-5:]) or "no output",
        todo="`./mint doctor` says whether this machine lets sandboxes be made. The suite also becomes an ordinary\n"
        "user in one. A container whose /proc is mounted read-only refuses that: start it with a writable one\n"
        "(`--privileged`), or say in settings.toml that nothing is tested there: `extent` of [suite] is \"none\".",
    )  # fmt: skip
