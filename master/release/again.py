"""Validates and proves archives again, by the programs of the commit that built them, from the bytes that are stored.

The rules for an archive belong to the commit: a later checkout may want another list of modules. So they are taken from
the master's mirror. `prove` runs what is in the archive: whoever calls this has no secret and no network at hand
(docs/releasing.md, "What a release may reach").
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workers.errors import Failure
from workers.reports.base import R, read_report
from workers.reports.checks import ProveReport, ValidateReport


@dataclass(frozen=True)
class Programs:
    """The programs of a commit, unpacked at `checkout`. scratch: a directory of their own."""

    checkout: Path
    scratch: Path

    def validate(self, path: Path, name: str) -> ValidateReport:
        """Judges the archive at `path`, which users know as `name`. Raises Failure when a rule does not hold."""
        return self._run("validate", path, name, ValidateReport)

    def prove(self, path: Path, name: str) -> ProveReport:
        """Runs the archive and tries to get past its FIPS mode. Raises Failure when a check does not hold.

        OpenSSL's own tests are left out: they were run on the full archive's module, which has the same bytes.
        """
        return self._run("prove", path, name, ProveReport)

    def _run(self, program: str, path: Path, name: str, kind: type[R]) -> R:
        with tempfile.TemporaryDirectory(dir=self.scratch) as place:
            own = Path(place)
            archive = own / name  # what it is called says its kind and flavour
            archive.symlink_to(path)
            places = [part for one in ("run", "state", "cache") for part in (f"--{one}", str(own / one))]
            report = own / f"{program}.json"
            done = subprocess.run(
                [sys.executable, "-m", "workers", program, str(archive), *places, "--json", str(report)],
                cwd=self.checkout, env=_environment(own), capture_output=True, text=True, errors="replace",
                stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return read_report(report, kind)
            said = (done.stdout + done.stderr).strip().splitlines()
            raise Failure(
                "release", f"{program} does not find {name} good any more",
                wanted="what it found when it was built", found="\n          ".join(said[-12:]) or "nothing said",
                todo="Build that commit again, and compare the two.",
            )  # fmt: skip


def _environment(own: Path) -> dict[str, str]:
    """Nothing of this process's own: neither where the farm's state lies nor anything that steers Python or OpenSSL.

    No TMPDIR either: a socket's path has 107 bytes, of which a release's own directories take too many. /tmp is short,
    and a directory of the release's own where the kernel can see to that (master/release/guard.py).
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {"LC_ALL": "C.UTF-8", **kept, "HOME": str(own)}


@contextmanager
def programs_of(repository: Path, commit: str) -> Iterator[Programs]:
    """The programs of a commit of the master's mirror, for as long as they are needed. Raises Failure."""
    with tempfile.TemporaryDirectory(prefix="release-") as place:
        checkout, scratch = Path(place) / "checkout", Path(place) / "scratch"
        scratch.mkdir()
        packed = Path(place) / "checkout.tar"
        done = subprocess.run(
            ["git", "-C", str(repository), "archive", f"--output={packed}", commit],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Failure(
                "release", f"the programs of commit {commit[:12]} can't be had", wanted=f"it in {repository}",
                found=done.stderr.strip(), todo="Is it on the branch? The master's mirror fetches it.",
            )  # fmt: skip
        with tarfile.open(packed) as tar:
            tar.extractall(checkout, filter="data")
        yield Programs(checkout, scratch)
