"""Which commit is built, and what of the checkout is not in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from workers.errors import Failure

COMMIT = re.compile(r"\A[0-9a-f]{40}\Z")


def _git(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Failure("machine", "git is missing", todo="Run: apt-get install git") from error


def resolve(checkout: Path, name: str) -> str:
    """The commit that a name stands for in the checkout. Raises Failure with the branches and tags that there are.

    40 digits that the checkout does not know are passed on: the configured repository may be another one.
    """
    asked = _git(checkout, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if asked.returncode == 0:
        return asked.stdout.strip()
    if COMMIT.match(name):
        return name
    inside = _git(checkout, "rev-parse", "HEAD")
    if inside.returncode:
        raise Failure(
            "build",
            f"{checkout} has no commit to build",
            found=inside.stderr.strip(),
            todo="Clone the repository with git. If it belongs to another user:\n"
            f"git config --global --add safe.directory {checkout}",
        )
    listed = _git(checkout, "for-each-ref", "--count=12", "--sort=-creatordate", "--format=%(refname:short)")
    known = ", ".join(listed.stdout.split()) or "none"
    raise Failure("build", f"there is no commit {name!r}", todo=f"Name a commit, or one of: HEAD, {known}.")


def uncommitted(checkout: Path) -> list[str]:
    """The files that differ from HEAD, new ones included, as git lists them; none of a bare repository."""
    return [line[3:] for line in _git(checkout, "status", "--porcelain").stdout.splitlines()]


def warning_about(files: list[str], name: str, commit: str) -> str:
    shown = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
    return (
        f"warning: the checkout has uncommitted changes, and they are NOT built: {shown}\n"
        f"         What is built is the commit {commit[:12]} ({name})."
    )
