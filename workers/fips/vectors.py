"""OpenSSL's own test programs, evp_test and acvp_test, run against an archive's FIPS module: its vectors are NIST's
(CAVS, ACVP), the RFCs' and Wycheproof's.

The programs are the node openssl-tests, one a target and a release of the provider. They have libcrypto in them and
load the module that ships, by the settings that ship with it; so what passes is the very module of the archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workers.errors import Failure
from workers.fips.config import parse_fipsmodule
from workers.fips.running import Ran, run
from workers.fips.tampering import NotHere, flip
from workers.fips.tree import MODULES, Tree, link_tree
from workers.objects import extract
from workers.progress import counted
from workers.reports.checks import Check

# As the suite itself runs them: evp_test with the base provider for what reads keys and without default properties, so
# that what the module marks as not approved is tested as such; acvp_test with the module alone.
_PROVIDERS = {
    "evp_test": "[openssl_init]\nproviders = provider_sect\n\n"
    "[provider_sect]\nfips = fips_sect\nbase = base_sect\n\n[base_sect]\nactivate = 1\n\n",
    "acvp_test": "[openssl_init]\nproviders = provider_sect\nalg_section = algorithm_sect\n\n"
    "[algorithm_sect]\ndefault_properties = fips=yes\n\n[provider_sect]\nfips = fips_sect\n\n",
}
# A small file of the suite that every release has, for the module that has to fail.
_CONTROL = "evpmd_sha"
_COMPLETED = re.compile(r"Completed (\d+) tests with (\d+) errors and (\d+) skipped")
_PLACE = re.compile(r"[\w.-]+\.txt:\d+\b.*")
_TAP = re.compile(r"^(not )?ok \d+ - (.*)$", re.MULTILINE)
# Under emulation the slowest file takes minutes.
_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Suite:
    """The node's object, unpacked. version: the release of OpenSSL that it was made from."""

    root: Path
    version: str

    def vectors(self) -> list[Path]:
        """The files of vectors, the largest first: so the last to end is a short one."""
        return sorted((self.root / "vectors").glob("*.txt"), key=lambda path: (-path.stat().st_size, path.name))


def unpack_suite(packed: Path, into: Path) -> Suite:
    """The suite in an object of the node openssl-tests. Raises Failure when it is no such object."""
    extract(packed, into, licences=False)
    root = into / "openssl-tests"
    if not all((root / name).is_file() for name in ("evp_test", "acvp_test", "version")):
        raise Failure("prove", "an object of openssl-tests has no test programs in it", todo="Mend its recipe.")
    return Suite(root, (root / "version").read_text().strip())


def why_not(suite: Suite, module: bytes) -> str | None:
    """Why a suite says nothing of a module, in words; None when it is of the same release and for the same machine."""
    program = (suite.root / "evp_test").read_bytes()
    if machine_of(program) != machine_of(module):
        return "the stored OpenSSL tests are for another machine"
    found = release_of(module)
    if found != suite.version:
        return f"the stored OpenSSL tests are {suite.version}'s, the module is {found or 'of no known release'}"
    return None


def machine_of(data: bytes) -> bytes:
    """What kind of machine an executable file is for: of ELF class, byte order and e_machine; of Mach-O its CPU."""
    return data[:6] + data[18:20] if data.startswith(b"\x7fELF") else data[:8]


def release_of(module: bytes) -> str | None:
    """The release that a FIPS module says it is of, its parameter `version`; None where it can't be told."""
    found = {match.decode() for match in re.findall(rb"\0(3\.\d{1,2}\.\d{1,3})\0", module)}
    return found.pop() if len(found) == 1 else None


def names(suite: Suite) -> Iterator[str]:
    """The checks' names: acvp_test, one a file of vectors, and the one with a damaged module."""
    yield "acvp"
    yield from (path.stem for path in suite.vectors())
    yield "damaged-module"


def try_vectors(tree: Tree, suite: Suite, name: str, where: Path) -> Check:
    """One of the checks, in an empty folder `where`. Raises NotHere when the module has no settings to be loaded by."""
    if name == "damaged-module":
        return _damaged(tree, suite, where)
    if name == "acvp":
        return _judge_acvp(_run(tree, suite, "acvp_test", None, where))
    return judge_evp(name, _run(tree, suite, "evp_test", name, where))


def _run(tree: Tree, suite: Suite, program: str, vectors: str | None, where: Path) -> Ran:
    try:
        settings = parse_fipsmodule(tree.module_config.read_text())
    except (OSError, UnicodeDecodeError, Failure) as error:
        raise NotHere("the module has no fipsmodule.cnf that it could be loaded by") from error
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    config = where / "openssl.cnf"
    config.write_text(
        f"config_diagnostics = 1\nopenssl_conf = openssl_init\n\n{_PROVIDERS[program]}[fips_sect]\n{lines}",
        encoding="utf-8",
    )
    arguments = ["-config", str(config)]
    if vectors is not None:
        arguments.append(str(suite.root / "vectors" / f"{vectors}.txt"))
    environment = {"OPENSSL_MODULES": str(tree.root / MODULES), "OPENSSL_CONF": "/dev/null", "TMPDIR": str(where)}
    return run(suite.root / program, arguments, environment, cwd=where, timeout_s=_TIMEOUT_S)


def judge_evp(name: str, ran: Ran) -> Check:
    """What evp_test said of one file of vectors.

    Raises NotHere where it tested nothing: some files have only what no FIPS module has, says OpenSSL in them. The
    control is not among them, so that a program which tests nothing at all does not go for one that found no error.
    """
    said = _COMPLETED.search(ran.err) or _COMPLETED.search(ran.out)
    tested, errors, skipped = (int(number) for number in said.groups()) if said else (0, 0, 0)
    if ran.code == 0 and said and not tested and not errors and name != _CONTROL:
        raise NotHere(f"OpenSSL has all {skipped} of these vectors left out for this module")
    ok = ran.code == 0 and errors == 0 and tested > 0
    if ok:
        found = f"{counted(tested, 'test')}{f', {skipped} left out for this module' if skipped else ''}"
    else:
        places = [match.strip() for match in _PLACE.findall(ran.err + ran.out) if "skipping" not in match]
        found = f"exit code {ran.code}: {'; '.join(places[:3]) or ran.last}"
    return Check(f"vectors.{name}", "on", "positive", ok, f"{name}.txt: the module computes every vector", found)


def _judge_acvp(ran: Ran) -> Check:
    results = [(bad, title) for bad, title in _TAP.findall(ran.out) if not title.startswith("iteration")]
    failed = [title for bad, title in results if bad]
    ok = ran.code == 0 and not failed and bool(results)
    found = counted(len(results), "test") if ok else f"exit code {ran.code}: {', '.join(failed[:5]) or ran.last}"
    return Check("vectors.acvp", "on", "positive", ok, "acvp_test: the module passes every test", found)


def _damaged(tree: Tree, suite: Suite, where: Path) -> Check:
    """The programs can fail: both do with a module that one bit was changed in."""
    copy = link_tree(tree, where / "copy")
    if copy.module is None:
        raise NotHere("the archive has no FIPS module")
    copy.module.write_bytes(flip(copy.module.read_bytes()))
    checks = [
        judge_evp(_CONTROL, _run(copy, suite, "evp_test", _CONTROL, where)),
        _judge_acvp(_run(copy, suite, "acvp_test", None, where)),
    ]
    held = [one.id.removeprefix("vectors.") for one in checks if one.ok]
    found = f"passed all the same: {', '.join(held)}" if held else checks[0].found
    wanted = "a module with one bit changed passes none of the programs"
    return Check("vectors.damaged-module", "tamper", "tamper", not held, wanted, found)
