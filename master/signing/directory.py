"""A directory of archives as it was published: SHA256SUMS against the files, and each archive against its bundle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from master.signing.bundle import SUFFIX, decode
from master.signing.statement import RELEASE
from master.signing.trust import Trust
from master.signing.verify import REFUSED, Verified, Wanted, verify
from master.store import digest_of
from workers.errors import Failure

SUMS = "SHA256SUMS"
_LINE = re.compile(r"\A([0-9a-f]{64}) [ *]([^/\s][^/]*)\Z")
ARCHIVE = re.compile(r"\.tar\.(?:zst|gz|xz|bz2)\Z")


def read_sums(text: str) -> dict[str, str]:
    """Digests by file name. Raises Failure for a line that is none, or a name with a directory in it or twice."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.match(line)
        if match is None or match[2] in found:
            raise Failure(
                "verify", f"{SUMS}: line {number} can't be used", wanted="a sha256, two spaces, a file name of its own",
                found=repr(line[:120]), todo=REFUSED,
            )  # fmt: skip
        found[match[2]] = match[1]
    return found


def one(path: Path, bundle: Path | None, trust: Trust, wanted: Wanted, digest: str | None = None) -> Verified:
    """Judges one archive by its bundle, which lies beside it unless it is named. Raises Failure."""
    beside = bundle or path.with_name(path.name + SUFFIX)
    try:
        data = beside.read_bytes()
        sha256 = digest or digest_of(path)[0]
    except OSError as error:
        raise Failure(
            "verify", f"{path.name} can't be judged", wanted=f"{path} and its bundle {beside.name}", found=str(error),
            todo="Get the bundle too, or name it with --bundle.",
        ) from error  # fmt: skip
    return verify(path.name, sha256, decode(data, beside.name), trust, wanted)


def all_of(
    place: Path, trust: Trust, wanted: Wanted, *, unsigned_sums: bool = False
) -> Iterator[tuple[str, Verified | None]]:
    """Every file that SHA256SUMS lists, and what is known of it if it is an archive. Raises Failure at the first no.

    unsigned_sums: the list itself need not be signed, as that of a build is not.
    """
    sums = read_sums((place / SUMS).read_text(errors="replace"))
    if (place / f"{SUMS}{SUFFIX}").exists():
        # A release is signed in a name of its own: a builder that is asked for is that of the archives.
        yield SUMS, one(place / SUMS, None, trust, replace(wanted, predicate=RELEASE, builder=None))
    elif not unsigned_sums:
        raise Failure(
            "verify", f"{SUMS} is not signed", wanted=f"{SUMS}{SUFFIX} beside it, as every release has",
            found="no such file",
            todo=f"Nobody vouches for what only {SUMS} lists, nor that nothing was left out: get its bundle, too.\n"
            "That of a build has none: with --unsigned-sums the archives are judged by their own bundles, and the\n"
            "other files are taken as they are listed.",
        )  # fmt: skip
    _complete(place, sums)
    for name, listed in sums.items():
        found = digest_of(place / name)[0]
        if found != listed:
            raise Failure("verify", f"{name} is not what {SUMS} lists", wanted=listed, found=found, todo=REFUSED)
        yield name, one(place / name, None, trust, wanted, found) if ARCHIVE.search(name) else None


def _complete(place: Path, sums: Mapping[str, str]) -> None:
    here = {path.name for path in place.iterdir() if path.is_file()}
    if missing := sorted(set(sums) - here):
        raise Failure("verify", f"{SUMS} lists what is not here", found=", ".join(missing), todo="Get it too.")
    if more := sorted(name for name in here - set(sums) if ARCHIVE.search(name)):
        raise Failure("verify", f"{SUMS} does not list every archive", found=", ".join(more), todo=REFUSED)
