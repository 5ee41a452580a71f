"""How the master has a build signed: by starting the signer, which is told the build's id and nothing else."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from buildbot.util.runprocess import run_process
from twisted.logger import Logger

from master.home import Home
from master.mirror import Mirror
from steps.attest import Attested
from workers.errors import Failure, retold
from workers.reports.base import decode

# A full archive is hashed at several hundred MB a second; a key in a device or a timestamp may take its time.
LIMIT_S = 900
_LOG = Logger("pymint.signer")


@dataclass(frozen=True)
class Attester:
    """What the attest step is given. A value, so that a reconfiguration can compare it.

    command: what the signer is started with. repository, branch: of what is attested.
    """

    home: Home
    command: tuple[str, ...]
    repository: str
    branch: str

    async def __call__(self, reactor: Any, buildid: int, commit: str) -> Attested:
        """Raises Failure: the signer's own, or that it ended otherwise than it should."""
        # The signer looks the commit up in the mirror, and has no business in the network itself.
        await Mirror(self.home.repository, self.repository).resolve(reactor, commit, self.branch)
        argv = [*self.command, sys.executable, "-m", "master.signing", str(buildid)]
        code, out, err = await run_process(
            reactor, argv, workdir=str(self.home.checkout), env={**os.environ, "MINT_HOME": str(self.home.root)},
            collect_stdout=True, collect_stderr=True, runtime_timeout=LIMIT_S, io_timeout=LIMIT_S,
        )  # fmt: skip
        if code:
            _LOG.error("build {buildid} could not be signed: the signer ended with {code}", buildid=buildid, code=code)
            raise _failure(buildid, code, err.decode("utf-8", "replace"))
        said = decode(out.splitlines()[-1] if out else b"", Attested, "what the signer said")
        _LOG.info("build {buildid}: {count} bundles signed", buildid=buildid, count=len(said.bundles))
        return said


def _failure(buildid: int, code: int, said: str) -> Failure:
    """The signer's own Failure again; of anything else no more than its kind, since nobody knows what it quotes."""
    if (failure := retold(said)) is not None:
        return failure
    lines = said.strip().splitlines() or [""]
    last = lines[-1].partition(":")[0] if len(lines) > 1 else lines[0][:80]
    return Failure(
        "signing", f"the signer ended with {code}", found=last,
        todo=f"By hand it tells more: MINT_HOME=… .venv/bin/python -m master.signing {buildid}",
    )  # fmt: skip
