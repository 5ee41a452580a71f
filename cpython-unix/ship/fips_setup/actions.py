"""enable, disable and install: each makes its change at once or not at all, looks at what came of it, and undoes it."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
from pathlib import Path

from .child import ask, problem_off, problem_on
from .config import checks_of, module_config, of_both, settings_of, whole_config, with_mac
from .mac import module_mac
from .places import Refused, Tree

_WHERE = "For a container, run this while its image is made; for a read-only tree, where it is made."
ELSEWHERE = (
    f"FIPS mode can be had without a change of the tree: PYTHON_FIPS=1 in the environment turns it on.\n{_WHERE}"
)
STILL_ON = f"FIPS mode is still on: while that file is there, no variable turns it off.\n{_WHERE}"


def enable(tree: Tree) -> str:
    """Makes the marker. Raises Refused when FIPS mode does not work with it, and takes it back."""
    _require_module(tree)
    if tree.marked():
        problem = problem_on(ask(tree), tree)
        if problem is not None:
            raise Refused(f"{tree.marker} is there already, and FIPS mode does not work: {problem}", _MEND)
        return "FIPS mode was on already; a fresh interpreter says so"
    try:
        os.close(os.open(tree.marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        return enable(tree)  # somebody else did, this very moment
    except OSError as error:
        raise _no_change(tree, error) from error
    try:
        _sync(tree.ssl)
        problem = problem_on(ask(tree), tree)
    except BaseException:
        tree.marker.unlink(missing_ok=True)
        raise
    if problem is not None:
        tree.marker.unlink(missing_ok=True)
        raise Refused(f"FIPS mode does not work here, so it was not turned on: {problem}", _MEND)
    return "FIPS mode is on for every start of this tree's interpreter; a fresh one says so"


def disable(tree: Tree) -> str:
    """Takes the marker away. Raises Refused when FIPS mode does not end with that, and puts it back."""
    if not tree.marked():
        problem = problem_off(ask(tree))
        if problem is not None:
            raise Refused(f"{tree.marker} is not there, and yet: {problem}")
        return "FIPS mode was off already; a fresh interpreter says so"
    aside = tree.marker.with_name(f".fips-enabled.{os.getpid()}")
    if tree.marker.is_dir() and any(tree.marker.iterdir()):
        raise Refused(f"{tree.marker} is a directory with something in it", "Move it away, then run disable once more.")
    try:
        tree.marker.rename(aside)
    except FileNotFoundError:
        return disable(tree)  # somebody else did, this very moment
    except OSError as error:
        raise _no_change(tree, error, STILL_ON) from error
    try:
        problem = problem_off(ask(tree))
    except BaseException:
        aside.rename(tree.marker)
        raise
    if problem is not None:
        aside.rename(tree.marker)
        raise Refused(f"without the marker a fresh interpreter does not work, so it was put back: {problem}")
    if aside.is_dir() and not aside.is_symlink():
        aside.rmdir()
    else:
        aside.unlink()
    _sync(tree.ssl)
    return "FIPS mode is off for every start of this tree's interpreter; a fresh one says so"


def install(tree: Tree) -> str:
    """Writes both configuration files anew, for the module as it is on this machine, and has it test itself.

    Every check is on that either file has on, or that the module knows (from 3.4 on), whatever was cut off or changed.
    Raises Refused when the module does not load with them, and puts the old files back.
    """
    _require_module(tree)
    before = {path: path.read_bytes() if path.exists() else None for path in (tree.module_config, tree.config)}
    known = [settings_of(data.decode("utf-8", "replace")) for data in before.values() if data is not None]
    module = tree.module.read_bytes()
    settings = of_both([*known, dict.fromkeys(checks_of(module), "1")])
    settings = with_mac(settings, module_mac(module))
    after = {
        tree.module_config: module_config(settings).encode(),
        tree.config: whole_config(settings).encode(),
    }
    try:
        for path, data in after.items():
            _write(path, data)
        _sync(tree.ssl)
        problem = problem_on(ask(tree, variable=True), tree)
    except OSError as error:
        _put_back(before)
        raise _no_change(tree, error) from error
    except BaseException:
        _put_back(before)
        raise
    if problem is not None:
        _put_back(before)
        raise Refused(f"the module does not work with its new configuration, so the old one was put back: {problem}")
    changed = "the same as before" if before == after else "changed"
    return (
        f"{tree.module_config.name} and {tree.config.name} were written for {tree.module} ({changed});\n"
        "a fresh interpreter loaded the module, whose self-tests passed, and was served by it"
    )


_MEND = (
    "`python3 -m fips_setup status` says which file is not what it was. Take share/ssl out of the archive again; or,\n"
    "if the module was signed on purpose, have its configuration written anew: `python3 -m fips_setup install`."
)


def _require_module(tree: Tree) -> None:
    if not tree.module.is_file():
        raise Refused(
            f"there is no FIPS module: {tree.module}",
            "Unpack the whole archive again, share/ssl/ossl-modules included.",
        )


def _no_change(tree: Tree, error: OSError, instead: str = ELSEWHERE) -> Refused:
    """A change that the system did not let us make: why, and what to do about it."""
    if error.errno == errno.EROFS:
        return Refused(f"{tree.ssl} is on a read-only file system", instead)
    if error.errno in (errno.EACCES, errno.EPERM):
        owner = _owner(tree.ssl)
        return Refused(
            f"{tree.ssl} belongs to {owner} and can't be changed by {_name(os.geteuid())}",
            f"Run the same command as {owner}. {instead}",
        )
    return Refused(f"{error.filename or tree.ssl}: {error.strerror}", instead)


def _owner(path: Path) -> str:
    try:
        return _name(path.stat().st_uid)
    except OSError:
        return "somebody else"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _put_back(before: dict[Path, bytes | None]) -> None:
    for path, data in before.items():
        if data is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != data:
            _write(path, data)


def _sync(directory: Path) -> None:
    """Has a change of the directory outlive a power cut, where the file system can do that: some can't."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
