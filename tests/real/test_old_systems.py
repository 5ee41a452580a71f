"""What newer kernels and C libraries have is used there, and absent in an orderly way where they are old."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.real.roots import Root, make_root, no_roots
from workers.debian_root import mirror
from workers.errors import Failure
from workers.fips.running import Ran, run
from workers.fips.tree import Tree

pytestmark = [pytest.mark.real, pytest.mark.ci, pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")]

FILTER = Path(__file__).with_name("without_syscalls.py")
# Of Linux 3.10 none of these is known.
NEWER = "getrandom,memfd_create,copy_file_range,statx,pidfd_send_signal,pidfd_open,clone3,close_range,faccessat2"

CALLS = """
import errno, json, os, socket, sys, tempfile
def said(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "works"
one, other = tempfile.TemporaryFile(), tempfile.TemporaryFile()
json.dump({
    "memfd_create": said(lambda: os.memfd_create("x")),
    "copy_file_range": said(lambda: os.copy_file_range(one.fileno(), other.fileno(), 1)),
    "getrandom": said(lambda: os.getrandom(4)),
    "pidfd_open": said(lambda: os.pidfd_open(os.getpid())),
    "AF_VSOCK": int(socket.AF_VSOCK),
}, sys.stdout)
"""

# What falls back on something else where those calls are missing; FIPS mode's own random numbers among it.
WORK = """
import asyncio, hashlib, multiprocessing, os, pathlib, secrets, shutil, ssl, subprocess, sys, tempfile, threading, uuid
async def child():
    return await (await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", "")).wait()
with tempfile.TemporaryDirectory() as scratch:
    path = pathlib.Path(scratch, "a")
    path.write_bytes(b"x" * 100000)
    shutil.copyfile(path, path.with_name("b"))
    if hasattr(path, "copy"):  # 3.14, which copies by copy_file_range where there is one
        path.with_name("b").unlink()
        path.copy(path.with_name("b"))
    assert path.with_name("b").read_bytes() == path.read_bytes()
assert asyncio.run(child()) == 0
assert subprocess.run([sys.executable, "-I", "-S", "-c", ""], close_fds=True).returncode == 0
assert len({os.urandom(8), secrets.token_bytes(8), ssl.RAND_bytes(8), uuid.uuid4().bytes}) == 4
lock = threading.Lock()
lock.acquire()
assert not lock.acquire(timeout=0.01)
worker = multiprocessing.get_context("fork").Process(target=os.getpid)
worker.start()
worker.join()
assert worker.exitcode == 0
print(hashlib.sha256(b"abc").hexdigest()[:8])
"""


def on_an_old_kernel(python: Path, script: str, **environment: str) -> Ran:
    command = [str(FILTER), NEWER, str(python), "-I", "-c", script]
    return run(Path(sys.executable), command, {"PATH": "/usr/bin:/bin", **environment})


def test_what_a_new_kernel_has_is_used(python: Path) -> None:
    ran = run(python, ["-I", "-c", CALLS])
    assert json.loads(ran.out) == {
        "memfd_create": "works",
        "copy_file_range": "works",
        "getrandom": "works",
        "pidfd_open": "works",
        "AF_VSOCK": 40,
    }


def test_what_an_old_kernel_lacks_is_an_error_that_programs_expect(python: Path) -> None:
    ran = on_an_old_kernel(python, CALLS)
    assert json.loads(ran.out or "null") == {
        "memfd_create": "ENOSYS",
        "copy_file_range": "ENOSYS",
        "getrandom": "ENOSYS",
        "pidfd_open": "ENOSYS",
        "AF_VSOCK": 40,
    }, ran.err


@pytest.mark.parametrize("fips", ["", "1"])
def test_the_library_works_on_an_old_kernel(python: Path, fips: str) -> None:
    ran = on_an_old_kernel(python, WORK, PYTHON_FIPS=fips)
    assert (ran.code, ran.out) == (0, "ba7816bf\n"), ran.err


NOTHING = ("-I", "-S", "-c", "")


def semaphores(said: str) -> set[str]:
    """Of what a loader says with LD_DEBUG=bindings, the semaphore functions found; all at the start (BIND_NOW)."""
    return {line.partition("`")[2].partition("'")[0] for line in said.splitlines() if "symbol `sem_" in line}


def test_a_newer_c_librarys_clock_is_used(python: Path) -> None:
    if tuple(int(part) for part in platform.libc_ver()[1].split(".")) < (2, 30):
        pytest.skip("this machine's glibc is older than 2.30")
    assert {"sem_clockwait", "sem_wait"} <= semaphores(run(python, NOTHING, {"LD_DEBUG": "bindings"}).err)


@pytest.fixture(scope="module")
def old_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C library of Debian 11, glibc 2.31: the oldest that Debian's mirrors still carry. With libcrypt.so.1, which
    _crypt needs up to 3.12 and was one of glibc's own libraries before.
    """
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    scratch = tmp_path_factory.mktemp("bullseye")
    try:
        (scratch / "sources.list").write_text(f"deb {mirror()} bullseye main\n")
    except Failure as failure:
        pytest.skip(str(failure))
    for name in ("lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").touch()
    options = {
        "Dir::Etc::SourceList": scratch / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": scratch / "lists",
        "Dir::State::Status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "APT::Sandbox::User": "root",
    }
    packages = ("libc6", "libcrypt1")
    apt = ["apt-get", *(f"-o{name}={value}" for name, value in options.items())]
    for command in ([*apt, "update"], [*apt, "download", *packages]):
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"{packages} of Debian 11 can't be had: {done.stderr.strip().splitlines()[-1:]}")
    for name in packages:
        (package,) = scratch.glob(f"{name}_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(scratch / "unpacked")], check=True)
    return scratch / "unpacked"


@pytest.fixture(scope="module", params=["glibc 2.31", "without sem_clockwait"])
def old(
    request: pytest.FixtureRequest, tree: Tree, old_libraries: Path, tmp_path_factory: pytest.TempPathFactory
) -> Root:
    """An old system. glibc before 2.30 is played by 2.31 with a function of another name."""
    reason = no_roots()
    if reason is not None:
        pytest.skip(reason)
    # Links in a package lead from its own root.
    files = {path.name: path for path in old_libraries.rglob("*.so*") if not path.is_symlink()}
    links = {path: files[path.readlink().name] for path in old_libraries.rglob("*.so.[0-9]*") if path.is_symlink()}
    libraries = {str(path.relative_to(old_libraries)): file for path, file in links.items()}
    root = make_root(tmp_path_factory.mktemp("old"), tree, libraries)
    if request.param != "glibc 2.31":
        (threads,) = root.path.rglob("libpthread.so.0")
        data = threads.read_bytes()
        assert b"\0sem_clockwait\0" in data
        threads.write_bytes(data.replace(b"\0sem_clockwait\0", b"\0sem_clocknone\0"))
    return replace(root, environment={"NAME": request.param})


EVERYTHING = """
import importlib, os, pathlib, sys, sysconfig
suffix = sysconfig.get_config_var("EXT_SUFFIX")
folder = pathlib.Path(sysconfig.get_path("platstdlib"), "lib-dynload")
shared = [path.name.removesuffix(suffix) for path in folder.glob("*" + suffix)]
failed = {}
for name in (*sys.builtin_module_names, *shared):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(os.confstr("CS_GNU_LIBC_VERSION"), failed)
"""


def test_everything_loads_and_works_on_an_old_c_library(old: Root) -> None:
    found = semaphores(old.run(*NOTHING, LD_DEBUG="bindings").err)
    assert ("sem_clockwait" in found, "sem_wait" in found) == (old.environment["NAME"] == "glibc 2.31", True)
    ran = old.run("-I", "-c", EVERYTHING)
    assert (ran.out, ran.code) == ("glibc 2.31 {}\n", 0), ran.err
    for fips in ("", "1"):
        ran = old.run("-I", "-c", WORK, PYTHON_FIPS=fips)
        assert (ran.code, ran.out) == (0, "ba7816bf\n"), ran.err
