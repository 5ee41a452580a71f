"""What a recipe sees of the machine, and what is left of it when it ends. Real namespaces, commands of one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from workers import sandbox
from workers.errors import Failure
from workers.model import ROOT
from workers.sandbox import Ended, run_in_sandbox, sandbox_problem

pytestmark = pytest.mark.skipif(sandbox_problem() is not None, reason=f"no sandbox here: {sandbox_problem()}")

# Not the virtual environment's: that may lie below /tmp, which a recipe sees another of.
PYTHON = Path(sys.executable).resolve()


@dataclass(frozen=True)
class Place:
    """The five directories of a sandbox and its log."""

    top: Path

    def run(
        self,
        script: str,
        pass_fds: tuple[int, ...] = (),
        environment: Mapping[str, str] | None = None,
        ordinary_user: bool = False,
    ) -> Ended:
        return run_in_sandbox(
            ["sh", "-eu", "-c", script],
            build=self.top / "build",
            deps=self.top / "deps",
            out=self.top / "out",
            toolchain=self.top / "toolchain",
            data=self.top / "data",
            environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})},
            log=self.log,
            pass_fds=pass_fds,
            ordinary_user=ordinary_user,
        )

    @property
    def log(self) -> Path:
        return self.top / "log"

    def said(self, script: str, **environment: str) -> list[str]:
        """The lines that a script which must succeed writes."""
        ended = self.run(script, environment=environment)
        text = self.log.read_text()
        assert ended.exit_code == 0, text
        return text.splitlines()


def _place(top: Path) -> Place:
    for name in ("build/source", "deps", "out", "toolchain", "data"):
        (top / name).mkdir(parents=True)
    return Place(top)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return _place(tmp_path / "räume und orte")


def _running(marker: str) -> list[int]:
    """Processes of this machine whose command line has `marker`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _gone(marker: str) -> bool:
    """Whether no process with `marker` is left, after at most five seconds."""
    deadline = time.monotonic() + 5
    while _running(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_the_paths_are_the_same_on_every_machine(place: Place) -> None:
    assert place.said("pwd; ls /mnt/pymint; ls /mnt") == [
        "/mnt/pymint/build/source", "build", "data", "deps", "out", "toolchain", "pymint",
    ]  # fmt: skip


def test_what_is_left_in_out_is_owned_by_who_builds(place: Place) -> None:
    place.said("echo made > /mnt/pymint/out/file")
    left = place.top / "out" / "file"
    assert left.read_text() == "made\n"
    assert left.stat().st_uid == os.getuid()


@pytest.mark.parametrize("where", ["/mnt/pymint/deps", "/mnt/pymint/toolchain", "/mnt/pymint/data", "/usr", "/var/tmp"])
def test_a_recipe_writes_nowhere_but_in_build_out_and_tmp(place: Place, where: str) -> None:
    assert place.said(f"if touch {where}/pymint-was-here 2>/dev/null; then echo written; else echo refused; fi") == [
        "refused"
    ]


def test_tmp_is_the_builds_own(place: Place) -> None:
    theirs = Path("/tmp/pymint-test-of-the-machine")
    theirs.write_text("")
    try:
        assert place.said("ls /tmp; echo kept > /tmp/mine") == []
    finally:
        theirs.unlink()
    assert (place.top / "build" / "tmp" / "mine").read_text() == "kept\n"
    assert not Path("/tmp/mine").exists()


def test_there_is_no_network_but_loopback(place: Place) -> None:
    script = (
        "import socket\n"
        "one = socket.create_server(('127.0.0.1', 0)); socket.create_connection(one.getsockname()).close()\n"
        "print([name for _, name in socket.if_nameindex()])\n"
        "try: socket.create_connection(('192.0.2.1', 80), 2)\n"
        "except OSError as error: print(error.strerror)\n"
    )
    assert place.said(f'{PYTHON} -I -S -c "{script}"') == ["['lo']", "Network is unreachable"]


def test_a_recipe_gets_the_environment_it_is_given_and_no_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFLAGS", "-march=native")
    assert place.said("env | grep -v ^PWD= | sort", CC="clang") == [
        "CC=clang",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    ]


def test_host_name_umask_and_input_are_fixed(place: Place) -> None:
    assert place.said("uname -n; umask; cat") == ["pymint", "0022"]


def test_the_exit_code_and_the_cost_are_the_commands(place: Place) -> None:
    ended = place.run("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 7")
    assert ended.exit_code == 7
    assert 0 < ended.cpu_s <= ended.wall_s + 0.1
    assert ended.max_rss_kib > 1000


def test_the_cost_of_what_a_command_starts_is_counted(place: Place) -> None:
    small = place.run("true")
    large = place.run(f"{PYTHON} -I -S -c 'b = bytearray(200_000_000)' &\nwait")
    assert large.max_rss_kib > small.max_rss_kib + 150_000


def test_the_memory_of_who_starts_a_sandbox_is_not_counted(place: Place) -> None:
    ballast = b"x" * 150_000_000
    assert place.run("true").max_rss_kib * 1024 < len(ballast)


def test_a_command_killed_by_a_signal_fails_as_in_a_shell(place: Place) -> None:
    assert place.run("kill -TERM $$").exit_code == 128 + signal.SIGTERM


def test_a_command_that_does_not_exist_fails_with_its_name(place: Place) -> None:
    assert place.run("exec no-such-program").exit_code == 127
    assert "no-such-program" in place.log.read_text()


def test_a_broken_pipe_ends_a_process_as_it_does_in_a_shell(place: Place) -> None:
    assert place.said("yes | head -n 1; echo done") == ["y", "done"]


def test_nothing_that_a_recipe_starts_outlives_it(place: Place) -> None:
    place.said("sleep 4711.25 & setsid sleep 4711.25 & echo started")
    assert _gone("4711.25")


def _starter(top: Path, seconds: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs `sleep` in a sandbox, once the sleep has begun."""
    places = ", ".join(f"{n}=Path({str(top / n)!r})" for n in ("build", "deps", "out", "toolchain", "data"))
    program = (
        "from pathlib import Path\nfrom workers.sandbox import run_in_sandbox\n"
        f"run_in_sandbox(['sleep', '{seconds}'], {places}, environment={{}}, log=Path({str(top / 'log')!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    try:
        deadline = time.monotonic() + 20
        while not any(_command(pid)[:1] == ["sleep"] for pid in _running(seconds)):
            assert time.monotonic() < deadline, "the sandbox never started"
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


@pytest.mark.parametrize(("how", "seconds"), [(signal.SIGKILL, "4712.25"), (signal.SIGTERM, "4712.5")])
def test_a_killed_builder_takes_its_sandbox_with_it(place: Place, how: signal.Signals, seconds: str) -> None:
    for builder in _starter(place.top, seconds):
        builder.send_signal(how)
        builder.wait()
        assert _gone(seconds)


def test_an_interrupted_builder_takes_its_sandbox_with_it(place: Place) -> None:
    for builder in _starter(place.top, "4712.75"):
        builder.send_signal(signal.SIGINT)
        builder.wait()
        assert _gone("4712.75")


def test_the_jobserver_reaches_the_recipe_under_the_same_numbers(place: Place) -> None:
    read, write = os.pipe()
    try:
        os.write(write, b"+")
        script = f"import os; print(os.read({read}, 1)); os.write({write}, b'++')"
        assert place.run(f'{PYTHON} -I -S -c "{script}"', pass_fds=(read, write)).exit_code == 0
        assert os.read(read, 10) == b"++"
    finally:
        os.close(read)
        os.close(write)
    assert place.log.read_text() == "b'+'\n"


def test_the_log_is_appended_to(place: Place) -> None:
    place.run("echo one; echo two >&2")
    assert place.said("echo three") == ["one", "two", "three"]


@pytest.mark.skipif(not os.access("/mnt", os.W_OK), reason="only who may write in /mnt can have a checkout there")
def test_directories_below_mnt_are_bound_before_mnt_is_covered(tmp_path: Path) -> None:
    top = Path("/mnt") / f"pymint-test-{os.getpid()}"
    try:
        place = _place(top)
        place.said("echo made > /mnt/pymint/out/file; test ! -e " + str(top))
        assert (top / "out" / "file").read_text() == "made\n"
    finally:
        subprocess.run(["rm", "-rf", top], check=True)


def test_a_machine_without_namespaces_says_what_to_do(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = place.top / "programs"
    programs.mkdir()
    refusing = programs / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    sandbox._way.cache_clear()
    monkeypatch.setenv("PATH", str(programs))
    try:
        with pytest.raises(Failure, match="no sandbox") as caught:
            place.run("true")
    finally:
        sandbox._way.cache_clear()
    assert "Operation not permitted" in str(caught.value)
    assert caught.value.todo


@pytest.mark.parametrize(
    ("setting", "value", "wanted"),
    [
        ("user.max_user_namespaces", "0", "sysctl user.max_user_namespaces="),
        ("kernel.unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "apparmor_restrict_unprivileged_userns=0"),
    ],
)
def test_the_remedy_fits_the_setting(setting: str, value: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_setting", lambda name: value if name == setting else None)
    assert wanted in sandbox._remedy("unshare: unshare failed: Operation not permitted")


def test_a_kernel_that_is_too_old_is_named() -> None:
    said = "the sandbox can't be entered: [Errno 38] mount_setattr on /: Function not implemented"
    assert "Linux 5.12" in sandbox._remedy(said)


def test_without_unshare_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sandbox._way.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        problem = sandbox_problem()
    finally:
        sandbox._way.cache_clear()
    assert problem is not None
    assert "util-linux" in problem[1]


def test_an_ordinary_user_owns_what_it_gets_and_has_no_rights_over_the_rest(place: Place) -> None:
    script = "id -u; id -g; stat -c %u .; touch a; chmod 0 a; cat a || echo refused; grep CapEff /proc/self/status"
    assert place.run(script, ordinary_user=True).exit_code == 0, place.log.read_text()
    lines = [line for line in place.log.read_text().splitlines() if "cat:" not in line]
    assert lines == ["1", "1", "1", "refused", "CapEff:\t0000000000000000"]


# A container's /proc: with a part of it covered the kernel lets nobody inside mount another.
_IN_A_CONTAINER = """
import sys
from pathlib import Path
from tests.unit.test_sandbox import _place
place = _place(Path(sys.argv[1]))
script = "id -u; cat /proc/self/uid_map; echo 1 2>&- >/proc/self/oom_score_adj || echo refused"
ended = place.run(script, ordinary_user=True)
print(ended.exit_code, *place.log.read_text().split())
"""


def test_an_ordinary_user_can_be_had_where_proc_is_a_containers(tmp_path: Path) -> None:
    cover = 'mount --bind /dev/null /proc/version; exec "$@"'
    inner = [sys.executable, "-c", _IN_A_CONTAINER, str(tmp_path)]
    container = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", cover, "sh", *inner]
    done = subprocess.run(container, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "1", "1", "0", "1", "refused"], done.stdout + done.stderr
