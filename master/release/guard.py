"""What a dry run can't do: reach anything but this machine's own loopback, or read a production key.

Where Linux lets namespaces be made, the kernel sees to it: the process starts itself again with a network that has only
a loopback of its own, and with the files that are not for it covered. Everywhere the process also refuses by itself,
with words; that alone does not bind the programs that it starts.

The stage that runs code of the archives is sealed as well: it can write to one directory only.

    python -m master.release.guard COVERED_JSON COMMAND...     inside of the new namespaces
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from master import settings as farm_settings
from master.home import Home
from master.settings import Settings
from master.signing import choice, keys, pen
from master.signing.keeping import KEYS, ROOT
from workers import enter_sandbox
from workers.errors import Failure

MARK = "PYMINT_CONFINED"
# capabilities(7): by the one a mount is undone, by the other another process's view of the files is had.
CAP_SYS_ADMIN, CAP_SYS_PTRACE = 21, 19
# What the environment may tell a client that is not for a dry run.
SECRETS = ("AWS_", "GITHUB_", "GH_", "VAULT_", "AZURE_", "GOOGLE_", "PYKCS11")


@dataclass(frozen=True)
class Covered:
    """What is not for a dry run, by absolute paths. keys: a directory of which only public and dry-run files are seen.

    directories: seen empty; files: seen empty. sealed: the one directory that can be written to, "" for no seal; then
    /tmp is one below it. seen: directories that are still seen when they lie below the other /tmp.
    """

    keys: str
    directories: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    sealed: str = ""
    seen: list[str] = field(default_factory=list)


def covered(home: Home, settings: Settings) -> Covered:
    """The production keys, the workers' passwords, and what opens the places of a release."""
    chosen = settings.release
    files = [home.root / one for one in (chosen.github_token_file, chosen.s3_credentials_file) if one is not None]
    uri = pen.absolute(home, settings.signing.key)
    if uri is not None and uri.startswith(keys.FILE):
        files.append(Path(uri.removeprefix(keys.FILE).partition("?")[0]))
    return Covered(str(home.keys), [str(home.secrets)], [str(one) for one in files])


def for_a_dry_run(name: str) -> bool:
    """Whether a file of the directory of keys may be read in a dry run: public halves, and the dry run's own keys."""
    return name in (KEYS, ROOT) or name.endswith((".pub", ".crt")) or name.startswith(choice.DRY_RUN)


def namespaces() -> list[str] | None:
    """The command that makes the namespaces here, or None where there are none to be had."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return None
    for user in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *user, "--mount", "--net"]
        tried = subprocess.run([*command, "true"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
        if tried.returncode == 0:
            return command
    return None


def confined() -> bool:
    """Whether this process is one that `confine` started."""
    return os.environ.get(MARK) == "1"


def confine(home: Home, settings: Settings, arguments: Sequence[str], sealed: Path | None = None) -> str:
    """Returns in a process that is confined, with the words for how. Does not return in the one that is not yet.

    arguments: of `python`, by which this process is started again. sealed: a directory, where nothing else can be
    written to; temporary files go there too.
    """
    what = covered(home, settings)
    if sealed is not None:
        seen: list[Path | str] = [
            home.root,
            farm_settings.store_path(settings, home),
            home.checkout,
            sys.prefix,
            sys.base_prefix,
        ]
        what = replace(what, sealed=str(sealed.resolve()), seen=[os.path.realpath(one) for one in seen])
        (sealed / "tmp").mkdir(parents=True, exist_ok=True)
    refuse_by_itself(what)
    if confined():
        return "no network but its own loopback, no production key, by namespaces of the kernel" + (
            f", nothing written but to {sealed}" if sealed is not None else ""
        )
    command = namespaces()
    if command is None:
        return "this system has no namespaces for it: the process itself refuses connections and production keys"
    inside = [sys.executable, "-m", "master.release.guard", json.dumps(asdict(what)), sys.executable, *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
    if what.sealed:
        kept["TMPDIR"] = what.sealed
    sys.stdout.flush()
    return os.execvpe(command[0], [*command, *inside], {**kept, MARK: "1"})


def refuse_by_itself(what: Covered) -> None:
    """From here on this process opens no connection to another machine and no file that is covered. Raises Failure.

    A hook of the interpreter can't be taken back.
    """
    secret = {os.path.realpath(path) for path in what.files}
    below = tuple(os.path.realpath(path) + os.sep for path in what.directories)
    own = os.path.realpath(what.keys) + os.sep

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            _refuse_connection(arguments[1])
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            hidden = path.startswith(own) and not for_a_dry_run(path.removeprefix(own))
            if hidden or path in secret or path.startswith(below):
                raise Failure(
                    "release", f"a dry run does not read {Path(path).name}", found=path,
                    todo="It signs with its own key. Nothing was read; tell who looks after pymint.",
                )  # fmt: skip

    sys.addaudithook(hook)


def _refuse_connection(address: Any) -> None:
    if not isinstance(address, tuple):  # a socket in the file system
        return
    try:
        local = ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
    except ValueError:
        local = address[0] == "localhost"
    if not local:
        raise Failure(
            "release", "a dry run opens no connection to another machine", wanted="loopback", found=str(address[0]),
            todo="Nothing was sent; tell who looks after pymint.",
        )  # fmt: skip


def cover(what: Covered) -> None:
    """Inside of a mount namespace: puts emptiness over what is covered, and the harmless keys back; for good.

    Raises OSError.
    """
    enter_sandbox.raise_loopback()
    own = Path(what.keys)
    with tempfile.TemporaryDirectory() as name:
        kept = [Path(shutil.copy2(one, name)) for one in sorted(own.glob("*")) if for_a_dry_run(one.name)]
        for directory in (what.keys, *what.directories):
            if Path(directory).is_dir():
                enter_sandbox.mount_at("tmpfs", directory, "tmpfs", enter_sandbox.MS_NOSUID, "mode=0700,size=16m")
        for one in kept:
            shutil.copy2(one, own / one.name)
    for file in what.files:
        if Path(file).exists():
            enter_sandbox.mount_at("/dev/null", file, None, enter_sandbox.MS_BIND)
    if what.sealed:
        seal(what.sealed, what.seen)
    for capability in (CAP_SYS_ADMIN, CAP_SYS_PTRACE):
        enter_sandbox.drop(capability)


def seal(directory: str, seen: Sequence[str]) -> None:
    """Makes everything read-only but this directory, and a /tmp in it: some programs know no other. Raises OSError."""
    here = os.getcwd()  # noqa: PTH109
    hidden = [one for one in (directory, *seen) if one.startswith("/tmp/") and Path(one).exists()]
    # The one above before what lies in it, which would be covered by it again.
    opened = [(os.open(one, os.O_PATH | os.O_CLOEXEC), one) for one in sorted(set(hidden), key=len)]
    enter_sandbox.mount_at(f"{directory}/tmp", "/tmp", None, enter_sandbox.MS_BIND)
    for descriptor, one in opened:
        Path(one).mkdir(parents=True, exist_ok=True)
        enter_sandbox.mount_at(f"/proc/self/fd/{descriptor}", one, None, enter_sandbox.MS_BIND | enter_sandbox.MS_REC)
        os.close(descriptor)
    enter_sandbox.mount_at(directory, directory, None, enter_sandbox.MS_BIND)
    os.chdir(here)
    enter_sandbox.read_only("/", True, recursive=True)
    for path in (directory, "/tmp", "/proc"):  # namespaces are told in /proc who is who in them
        enter_sandbox.read_only(path, False)
    enter_sandbox.mount_at("tmpfs", "/dev/shm", "tmpfs", enter_sandbox.MS_NOSUID, "mode=1777")


def main(arguments: Sequence[str]) -> None:
    cover(Covered(**json.loads(arguments[0])))
    os.execv(arguments[1], list(arguments[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
