"""What a dry run can't do: reach anything but this machine's own loopback, or read a production key.

Where Linux lets namespaces be made, the kernel sees to it: the process starts itself again with a network that has only
a loopback of its own, and with the files that are not for it covered. Everywhere the process also refuses by itself,
with words; that alone does not bind the programs that it starts.

The stage that runs code of the archives is sealed as well: it can write to one directory only.

What happens inside of the new namespaces is in `enclosure.py`.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from master import settings as farm_settings
from master.home import Home
from master.instance import PASSWORD
from master.release.enclosure import Covered
from master.secrets.named import files_of
from master.settings import Settings
from master.signing import choice, keys, pen
from master.signing.keeping import KEYS, ROOT
from workers.errors import Failure

MARK = "PYMINT_CONFINED"
# All that a stage gets of the environment: a deny-list would have to know every client's variables.
KEPT = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TERM", "TZ", "LANG", "LANGUAGE", "TMPDIR", "XDG_CACHE_HOME",
    "LD_LIBRARY_PATH", "NIX_LD", "NIX_LD_LIBRARY_PATH", "GIT_CONFIG_GLOBAL", "GIT_TERMINAL_PROMPT",
}  # fmt: skip
KEPT_PREFIXES = ("LC_", "MINT_", "PYMINT_", "PYTHON")
# Where the clients of places, keys and forges look when no setting names a file.
BELOW_HOME = (
    ".aws", ".azure", ".boto", ".config/gcloud", ".config/gh", ".config/git/credentials", ".config/rclone", ".docker",
    ".git-credentials", ".gnupg", ".kube", ".netrc", ".npmrc", ".password-store", ".pypirc", ".s3cfg", ".ssh",
    ".vault-token",
)  # fmt: skip
BY_ENVIRONMENT = (
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_CLIENT_CERTIFICATE_PATH", "NETRC",
)  # fmt: skip
SOCKETS = Path("/proc/net/unix")


def covered(home: Home, settings: Settings, environment: Mapping[str, str] = os.environ) -> Covered:
    """The production keys, the workers' passwords, and what opens the places of a release or a device."""
    files, directories = files_of(home, settings)
    uri = pen.absolute(home, settings.signing.key)
    if uri is not None and uri.startswith(keys.FILE):
        files.append(Path(uri.removeprefix(keys.FILE).partition("?")[0]))
    user = Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    known = [user / one for one in BELOW_HOME] + [
        Path(environment[one]) for one in BY_ENVIRONMENT if one in environment
    ]
    return Covered(
        str(home.keys),
        [str(one) for one in (home.secrets, *directories, *(one for one in known if one.is_dir()))],
        [*map(str, files), *(str(one) for one in known if one.is_file())],
        shown=sorted(one.name for one in home.keys.glob("*") if for_a_dry_run(one.name)),
    )


def for_a_dry_run(name: str) -> bool:
    """Whether a file of the directory of keys may be read in a dry run: public halves, and the dry run's own keys."""
    return name in (KEYS, ROOT) or name.endswith((".pub", ".crt")) or name.startswith(choice.DRY_RUN)


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the environment a stage gets."""
    return {
        name: value for name, value in environment.items()
        if name in KEPT or (name.startswith(KEPT_PREFIXES) and name != PASSWORD)
    }  # fmt: skip


def sockets(listed: str) -> list[str]:
    """The sockets of the file system that somebody has bound, from what /proc/net/unix lists."""
    fields = (line.split(None, 7) for line in listed.splitlines()[1:])
    return sorted({one[7] for one in fields if len(one) == 8 and one[7].startswith("/")})


def namespaces() -> list[str] | None:
    """The command that makes the namespaces here, or None where there are none to be had."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return None
    for user in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *user, "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child"]
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
    seen: list[Path | str] = [
        home.root,
        farm_settings.store_path(settings, home),
        home.checkout,
        sys.prefix,
        sys.base_prefix,
    ]
    what = replace(covered(home, settings), seen=[os.path.realpath(one) for one in seen])
    if sealed is not None:
        what = replace(what, sealed=str(sealed.resolve()))
        (sealed / "tmp").mkdir(parents=True, exist_ok=True)
    refuse_by_itself(what)
    if confined():
        return "no network but its own loopback, no production key, by namespaces of the kernel" + (
            f", nothing written but to {sealed}" if sealed is not None else ""
        )
    command = namespaces()
    if command is None:
        return "this system has no namespaces for it: the process itself refuses connections and production keys"
    what = replace(what, sockets=sockets(SOCKETS.read_text(errors="surrogateescape")))
    inside = [sys.executable, "-m", "master.release.enclosure", json.dumps(asdict(what)), sys.executable, *arguments]
    environment = kept(os.environ)
    if what.sealed:
        environment["TMPDIR"] = what.sealed
    sys.stdout.flush()
    return os.execvpe(command[0], [*command, *inside], {**environment, MARK: "1"})


def refuse_by_itself(what: Covered) -> None:
    """From here on this process opens no connection to another machine and no file that is covered. Raises Failure.

    A hook of the interpreter can't be taken back.
    """
    secret = {os.path.realpath(path) for path in what.files}
    below = tuple(os.path.realpath(path) + os.sep for path in what.directories)
    own = os.path.realpath(what.keys) + os.sep

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            if arguments[1] is not None:  # sendmsg without an address goes where it is connected to
                _refuse_connection(arguments[1])
        elif event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            hidden = path.startswith(own) and not for_a_dry_run(path.removeprefix(own))
            if hidden or path in secret or path.startswith(below):
                raise Failure(
                    "release", f"a dry run does not read {Path(path).name}", found=path,
                    todo="It signs with its own key. Nothing was read; tell who looks after pymint.",
                )  # fmt: skip

    sys.addaudithook(hook)


def _refuse_connection(address: Any) -> None:
    if not isinstance(address, tuple):
        raise Failure(
            "release", "a dry run talks to no other program of this machine", wanted="no socket of the file system",
            found=os.fsdecode(address), todo="Nothing was sent; tell who looks after pymint.",
        )  # fmt: skip
    try:
        local = ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
    except ValueError:
        local = address[0] == "localhost"
    if not local:
        raise Failure(
            "release", "a dry run opens no connection to another machine", wanted="loopback", found=str(address[0]),
            todo="Nothing was sent; tell who looks after pymint.",
        )  # fmt: skip
