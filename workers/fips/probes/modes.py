"""Whether FIPS mode is on, whose it is, and that it is the same in threads, subinterpreters and child processes."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from workers.fips.probes.core import Outcome, Wrong, probe, same

MD5_OF_ABC = "900150983cd24fb0d6963f7d28e17f72"


@probe("mode.get_fips_mode")
def get_fips_mode() -> Outcome:
    import _hashlib

    return str(_hashlib.get_fips_mode())


@probe("mode.provider")
def provider() -> Outcome:
    known, other = (importlib.import_module(name).fips_provider for name in ("_hashlib", "_ssl"))
    if known != other:
        raise Wrong(f"_hashlib says {known}, _ssl says {other}")
    return ("none" if known is None else "named"), json.dumps(known)


@probe("mode.module-in-memory")
def module_in_memory() -> Outcome:
    import hashlib

    hashlib.sha256()
    memory = Path("/proc/self/maps")
    if not memory.exists():
        return "unknown", "no /proc here"
    with memory.open(encoding="utf-8", errors="surrogateescape") as maps:
        paths = {line.split(None, 5)[5].rstrip("\n") for line in maps if "/ossl-modules/" in line}
    return ("mapped" if paths else "absent"), ", ".join(sorted(paths))


@probe("mode.libcrypto")
def libcrypto() -> Outcome:
    import ssl

    return "works", ssl.OPENSSL_VERSION


@probe("md5.in-threads")
def md5_in_threads() -> Outcome:
    outcomes: list[str] = []

    def attempt() -> None:
        import hashlib

        try:
            outcomes.append(hashlib.md5(b"abc").hexdigest())
        except ValueError:
            outcomes.append("refused")

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sorted(set(outcomes))
    if found == ["refused"]:
        raise ValueError("refused in all 8 threads")
    return same(" ".join(found), MD5_OF_ABC)


# The first use of OpenSSL by many threads at once: on any build, and without the GIL on a free-threaded one.
_RACE = """
import json, sys, threading
said, barrier = [], threading.Barrier(16)
def run(number):
    barrier.wait()
    try:
        if number % 2:
            import ssl
            ssl.create_default_context()
        import hashlib
        for _ in range(200):
            if hashlib.sha256(b"abc").hexdigest()[:8] != "ba7816bf":
                said.append("a wrong SHA-256")
        try:
            said.append(hashlib.md5(b"abc").hexdigest())
        except ValueError:
            said.append("refused")
    except BaseException as error:
        said.append(type(error).__name__ + ": " + str(error))
threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
print(json.dumps({"said": sorted(set(said)), "answers": len(said), "gil": gil}))
"""


@probe("md5.in-racing-threads")
def md5_in_racing_threads() -> Outcome:
    done = subprocess.run([sys.executable, "-c", _RACE], capture_output=True, text=True)
    if done.returncode:
        raise Wrong(f"exit code {done.returncode}: {done.stderr.strip().rpartition(chr(10))[2]}")
    answer = json.loads(done.stdout)
    threads = f"16 threads {'under' if answer['gil'] else 'without'} the GIL"
    if answer["answers"] != 16 or answer["said"] not in (["refused"], [MD5_OF_ABC]):
        raise Wrong(f"{answer['answers']} answers of {threads}: {', '.join(answer['said'])}")
    if answer["said"] == ["refused"]:
        raise ValueError(f"refused in {threads}")
    return "works", threads


@probe("md5.in-subinterpreter")
def md5_in_subinterpreter() -> Outcome:
    import tempfile

    known = [name for name in ("_interpreters", "_xxsubinterpreters") if importlib.util.find_spec(name)]
    if not known:
        return "unknown", "this Python has no module for subinterpreters"
    interpreters = importlib.import_module(known[0])
    with tempfile.TemporaryDirectory() as where:
        path = Path(where, "said")
        code = (
            "try:\n import hashlib\n said = hashlib.md5(b'abc').hexdigest()\n"
            "except Exception as error:\n said = 'refused: ' + repr(error)\n"
            f"open({str(path)!r}, 'w').write(said)\n"
        )
        here = interpreters.create()
        try:
            interpreters.run_string(here, code)
        finally:
            interpreters.destroy(here)
        said = path.read_text()
    if said.startswith("refused"):
        raise ValueError(said)
    return same(said, MD5_OF_ABC)


@probe("md5.in-child-process")
def md5_in_child_process() -> Outcome:
    code = "import hashlib; print(hashlib.md5(b'abc').hexdigest())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip().rpartition("\n")[2])
    return same(done.stdout.strip(), MD5_OF_ABC)


@probe("child.system-openssl")
def system_openssl() -> Outcome:
    """A child with an OpenSSL of its own is none of our business."""
    program = shutil.which("openssl", path="/usr/bin:/bin:/usr/local/bin")
    if program is None:
        return "unknown", "this machine has no openssl program"
    done = subprocess.run([program, "dgst", "-md5"], input=b"abc", capture_output=True)
    if b"900150983cd24fb0d6963f7d28e17f72" not in done.stdout:
        raise ValueError(done.stderr.decode("utf-8", "replace").strip()[:200])
    return "works", program
