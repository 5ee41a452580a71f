"""What people expect of a whole CPython, tried inside the archive's own interpreter, 3.10 to 3.14.

Standard library only. A probe returns "works", "unknown" and why where this machine can't tell, or "absent" and what
is missing; an error is "refused". workers/features/wanted.py says which of them a version and a system need.
"""

from __future__ import annotations

import errno
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from workers.features import terminals
from workers.fips.probes.core import Outcome, Wrong, answer_all, probe

__all__ = ["answer_all", "terminals"]

TEXT = b"one line of text, and another\n" * 2000

_SLEEPER = """
import asyncio
async def sleep():
    print("asleep", flush=True)
    await asyncio.sleep(600)
async def main():
    await asyncio.create_task(sleep(), name="mint's task")
asyncio.run(main())
"""

# linux/prctl.h: no page gets executable that was not mapped so. Kernels know it since 6.3.
_PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN = 65, 1


def same_again(found: object, wanted: object = TEXT) -> None:
    if found != wanted:
        raise Wrong("what came back is not what was put in")


def missing(owner: object, *names: str) -> Outcome:
    absent = [name for name in names if not hasattr(owner, name)]
    return ("absent", ", ".join(absent)) if absent else "works"


def called(function: Callable[[], object]) -> Outcome:
    """A system call that a kernel may not know yet: ENOSYS is an orderly answer."""
    try:
        function()
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return "unknown", "this kernel does not have the call"
        raise
    return "works"


@probe("zlib")
def _zlib() -> Outcome:
    import zlib

    same_again(zlib.decompress(zlib.compress(TEXT, 9)))
    return "works", f"zlib {zlib.ZLIB_RUNTIME_VERSION}"


@probe("bz2")
def _bz2() -> Outcome:
    import bz2

    same_again(bz2.decompress(bz2.compress(TEXT)))
    return "works"


@probe("lzma")
def _lzma() -> Outcome:
    import lzma

    for check in (lzma.CHECK_CRC64, lzma.CHECK_SHA256):
        if not lzma.is_check_supported(check):
            raise Wrong(f"liblzma was built without check {check}")
        same_again(lzma.decompress(lzma.compress(TEXT, check=check)))
    return "works"


@probe("zstd")
def _zstd() -> Outcome:
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]

    most = zstd.CompressionParameter.nb_workers.bounds()[1]
    if most < 1:
        raise Wrong("libzstd was built without threads")
    same_again(zstd.decompress(zstd.compress(TEXT, options={zstd.CompressionParameter.nb_workers: 2})))
    return "works", f"zstd {zstd.zstd_version}, up to {most} threads"


@probe("sqlite")
def _sqlite() -> Outcome:
    import sqlite3

    database, copy = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    database.execute("create table words (word text)")
    database.execute("insert into words values ('minted')")
    database.commit()  # a backup waits for the end of a transaction, its own connection's too
    database.backup(copy)
    same_again(copy.execute("select word from words").fetchall(), [("minted",)])
    database.enable_load_extension(True)
    if hasattr(database, "serialize"):
        copy.deserialize(database.serialize())
    return "works", f"SQLite {sqlite3.sqlite_version}"


@probe("sqlite-extensions")
def _sqlite_extensions() -> Outcome:
    import sqlite3

    database = sqlite3.connect(":memory:")
    for name in ("fts3", "fts4", "fts5"):
        database.execute(f"create virtual table {name}_table using {name}(body)")
        database.execute(f"insert into {name}_table values ('struck from silver')")
        # Parentheses mean something only where the enhanced query syntax is on.
        found = database.execute(
            f"select body from {name}_table where {name}_table match '(silver OR gold) AND struck'"
        )
        same_again(found.fetchall(), [("struck from silver",)])
    database.execute("create virtual table boxes using rtree(id, low, high)")
    database.execute("create virtual table shapes using geopoly(name)")
    database.execute("select count(*) from dbstat")
    return "works"


@probe("sqlite-no-tokenizer-by-pointer")
def _sqlite_tokenizer() -> Outcome:
    import sqlite3

    try:
        sqlite3.connect(":memory:").execute("select fts3_tokenizer('mint', x'00')")
    except sqlite3.Error as error:
        return "works", str(error)
    raise Wrong("SQL can register a tokenizer by its address in memory")


@probe("dbm")
def _dbm() -> Outcome:
    import dbm.ndbm
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        with dbm.ndbm.open(f"{folder}/file", "c") as database:
            database[b"key"] = b"value"
        with dbm.ndbm.open(f"{folder}/file") as database:
            same_again(database[b"key"], b"value")
    return "works", dbm.ndbm.library


@probe("hashes")
def _hashes() -> Outcome:
    import hashlib

    wanted = {
        "blake2b", "blake2s", "md5", "md5-sha1", "ripemd160", "sha1", "sha224", "sha256", "sha384", "sha512",
        "sha512_224", "sha512_256", "sha3_224", "sha3_256", "sha3_384", "sha3_512", "shake_128", "shake_256", "sm3",
    }  # fmt: skip
    absent = sorted(wanted - hashlib.algorithms_available)
    return ("absent", ", ".join(absent)) if absent else "works"


@probe("string-hash")
def _string_hash() -> Outcome:
    algorithm = sys.hash_info.algorithm
    return "works" if algorithm.startswith("siphash") else "wrong", algorithm


@probe("tls")
def _tls() -> Outcome:
    import ssl

    if not (ssl.HAS_TLSv1_2 and ssl.HAS_TLSv1_3):
        raise Wrong("TLS 1.2 or 1.3 is missing")
    ssl.create_default_context()
    return "works", ssl.OPENSSL_VERSION


@probe("ctypes")
def _ctypes() -> Outcome:
    import ctypes

    if ctypes.pythonapi.Py_IsInitialized() != 1:
        raise Wrong("pythonapi is another interpreter's")
    return "works"


@probe("ctypes-callbacks")
def _callbacks() -> Outcome:
    import ctypes

    doubled = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda value: 2 * value)
    same_again(doubled(21), 42)
    return "works"


@probe("decimal")
def _decimal() -> Outcome:
    import _decimal  # type: ignore[import-not-found,unused-ignore]

    same_again(str(_decimal.Decimal(1) / 7), "0.1428571428571428571428571429")
    return "works", f"libmpdec {_decimal.__libmpdec_version__}"


@probe("xml")
def _xml() -> Outcome:
    from xml.etree import ElementTree
    from xml.parsers import expat

    tree = ElementTree.fromstring("<m\u00fcnze jahr='2026'>\u20ac</m\u00fcnze>")
    same_again((tree.get("jahr"), tree.text), ("2026", "\u20ac"))
    return "works", expat.EXPAT_VERSION


@probe("curses")
def _curses() -> Outcome:
    import curses
    import curses.panel

    return missing(curses, "initscr", "setupterm", "resizeterm")


@probe("line-editing")
def _line_editing() -> Outcome:
    import readline

    readline.set_completer_delims(" ")
    readline.add_history("mint")
    same_again(readline.get_history_item(readline.get_current_history_length()), "mint")
    return "works", str(
        getattr(readline, "backend", "libedit" if "libedit" in (readline.__doc__ or "") else "readline")
    )


@probe("uuid")
def _uuid() -> Outcome:
    import _uuid  # type: ignore[import-not-found,unused-ignore]

    return missing(_uuid, "generate_time_safe")


@probe("semaphores")
def _semaphores() -> Outcome:
    import multiprocessing
    from multiprocessing import shared_memory

    try:
        lock = multiprocessing.get_context("spawn").Lock()
        memory = shared_memory.SharedMemory(create=True, size=16)
    except OSError as error:
        return "unknown", f"no shared memory on this machine: {error.strerror}"
    with lock:
        memory.buf[:4] = b"mint"  # type: ignore[index,unused-ignore]
    memory.close()
    memory.unlink()
    return "works"


@probe("free-threading")
def _free_threading() -> Outcome:
    built = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    named = "t" in getattr(sys, "abiflags", "")
    if built != named:
        raise Wrong(f"Py_GIL_DISABLED is {built}, and the ABI is named {sys.abiflags!r}")
    if built and sys._is_gil_enabled():  # type: ignore[attr-defined,unused-ignore]
        raise Wrong("the interpreter's own modules switched the GIL on")
    return "works", "without the GIL" if built else "with the GIL"


@probe("platform-name")
def _platform_name() -> Outcome:
    from importlib.machinery import EXTENSION_SUFFIXES

    wanted = "-darwin" if sys.platform == "darwin" else "-gnu"
    names = (str(sysconfig.get_config_var("MULTIARCH")), EXTENSION_SUFFIXES[0])
    wrong = [name for name in names if wanted not in name and not (wanted == "-darwin" and "darwin" in name)]
    return ("wrong", ", ".join(wrong)) if wrong else ("works", names[1])


@probe("vsock")
def _vsock() -> Outcome:
    import socket

    same_again(getattr(socket, "AF_VSOCK", None), 40)
    return "works"


@probe("bluetooth")
def _bluetooth() -> Outcome:
    import socket

    family = getattr(socket, "AF_BLUETOOTH", None)
    if family is None:
        return "absent", "socket.AF_BLUETOOTH"
    same_again(int(family), 31)
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Few machines have Bluetooth, so the kernel refuses the address at a socket of another kind: with an errno, which
    # CPython's own refusals have not.
    with socket.socket(family, socket.SOCK_STREAM, socket.BTPROTO_RFCOMM, fileno=plain.detach()) as other:
        try:
            other.connect(("00:11:22:33:44:55", 3))
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EAFNOSUPPORT):
                return "works"
            raise
    raise Wrong("a socket of another kind took a Bluetooth address")


@probe("getrandom")
def _getrandom() -> Outcome:
    return called(lambda: os.getrandom(8))


@probe("pidfd_open")
def _pidfd_open() -> Outcome:
    return called(lambda: os.close(os.pidfd_open(os.getpid())))


@probe("memfd_create")
def _memfd_create() -> Outcome:
    return called(lambda: os.close(os.memfd_create("mint")))


@probe("copy_file_range")
def _copy_file_range() -> Outcome:
    import tempfile

    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(b"mint")
        source.flush()
        return called(lambda: same_again(os.copy_file_range(source.fileno(), target.fileno(), 4, 0), 4))


@probe("profiling")
def _profiling() -> Outcome:
    sys.activate_stack_trampoline("perf")  # type: ignore[attr-defined,unused-ignore]
    sys.deactivate_stack_trampoline()  # type: ignore[attr-defined,unused-ignore]
    # CPython writes perf's map there whatever TMPDIR says, and leaves it.
    Path(f"/tmp/perf-{os.getpid()}.map").unlink(missing_ok=True)
    return "works"


@probe("asyncio-tasks")
def _asyncio_tasks() -> Outcome:
    import subprocess
    import tempfile

    from _remote_debugging import RemoteUnwinder  # type: ignore[import-not-found,unused-ignore]

    # 3.14 reads the names of another process's files as if they were ASCII, which a tree's place need not be.
    home = Path(tempfile.mkdtemp(), "home")
    home.symlink_to(sys.base_prefix)
    command = [sys.executable, "-s", "-P", "-c", _SLEEPER]
    environment = {**os.environ, "PYTHONHOME": str(home)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sleeper:
        if sleeper.stdout is not None:
            sleeper.stdout.readline()
        try:
            if Path(f"/proc/{sleeper.pid}/exe").resolve() != Path(sys.executable).resolve():
                return "unknown", "an emulator runs it"
            seen = repr(RemoteUnwinder(sleeper.pid).get_all_awaited_by())
        except PermissionError as error:
            return "unknown", f"this machine lets no process be read: {error}"
        finally:
            sleeper.kill()
            home.unlink()
            home.parent.rmdir()
    if "mint's task" not in seen:
        raise Wrong(f"no task of that name in {seen[:200]}")
    return "works"


# Last: what it asks of the kernel can't be undone in this process.
@probe("threads-without-new-code")
def _threads_without_new_code() -> Outcome:
    import ctypes
    import threading

    if ctypes.CDLL(None).prctl(_PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        return "unknown", "this kernel, or what emulates it, does not know PR_SET_MDWE"
    said: list[str] = []
    thread = threading.Thread(target=said.append, args=("mint",))
    thread.start()
    thread.join()
    same_again(said, ["mint"])
    return "works"
