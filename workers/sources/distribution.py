"""The distribution's packages, by its own package client as the machine has it set up, in a state of its own.

Source packages, and of those that hold nothing but headers or data also the packages built from them: a mirror that
carries only what is installed from it has no more.

The machine's package lists, cache and configuration stay as they are: everything that apt writes goes below the given
directory. Proxies, credentials, certificates and keys are the machine's. Signatures are checked as the machine's own
entry for its release demands.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from workers.progress import Progress, seconds
from workers.sources.meter import Meter
from workers.sources.outcome import Missed, Wrong, full_disk, without_urls
from workers.sources.pins import Distro, PinnedFile
from workers.sources.repositories import as_deb822, derived, read_repositories, stanzas, suites_for

# A pool changes a few times a day; lists that are younger are not fetched again, but where a file is not in them.
_LISTS_GOOD_FOR_S = 6 * 3600
_LISTS_GOOD_FOR_ANOTHER_LOOK_S = 3600
_APT_HELPER = Path("/usr/lib/apt/apt-helper")
_FORMAT = "$(RELEASE)|$(REPO_URI)|$(FILENAME)"
_SUITE = re.compile(r"(?:/dists/|://\S+ )([a-z][\w.-]*)")
_KEY = re.compile(r"NO_PUBKEY ([0-9A-F]+)")
_HOOKS = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success", "Post-Invoke-Stats")


@dataclass(frozen=True)
class Listed:
    """A package's file in one of the suites, and the URL that the client is told to fetch it from."""

    package: str
    version: str
    suite: str
    sha256: str
    size: int
    url: str


@dataclass(frozen=True)
class Unlisted(Listed):
    """The same for a file that no list names any more, from what its pin says: it may still lie in the pool."""


@dataclass(frozen=True)
class Index:
    """What the lists said of the wanted packages.

    at: when, in seconds since the epoch. packages, suites: what was looked for. problems: what the client complained
    of, a line each. gone: URLs of the pool that had nothing. archive: the URL above the pool of the main archive.
    """

    at: float
    packages: list[str]
    suites: list[str]
    files: list[Listed]
    problems: list[str]
    gone: list[str] = field(default_factory=list)
    archive: str = ""


class Distribution:
    """The client over one state directory. Safe to use from several threads and processes."""

    def __init__(self, state: Path, wanted: Sequence[Distro], progress: Progress, etc: Path = Path("/etc/apt")) -> None:
        self._home = state / "distribution"
        self._wanted = wanted
        self._packages = sorted({distro.package for distro in wanted})
        self._suites = suites_for(list(dict.fromkeys(distro.suite for distro in wanted)))
        # Lists of built packages are large; only the suites of pins that name one are read.
        self._built_suites = list(dict.fromkeys(distro.suite for distro in wanted if distro.is_built))
        self._progress = progress
        self._etc = etc
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._unusable: str | None = None

    def listed(self, file: PinnedFile) -> list[Listed]:
        """Where the distribution lists the very file, in any suite and revision. Raises Missed when nowhere."""
        index = self._current()
        if not any(entry.sha256 == file.sha256 for entry in index.files):
            index = self._current(_LISTS_GOOD_FOR_ANOTHER_LOOK_S)
        entries = {entry.url: entry for entry in index.files if entry.sha256 == file.sha256}
        if not entries:
            problems = f" ({'; '.join(index.problems)})" if index.problems else ""
            raise Missed(f"no suite of the distribution lists it{problems}")
        left = [entry for url, entry in entries.items() if url not in index.gone]
        if not left:
            raise Missed(f"the distribution lists it ({_named(entries.values())}), but its mirror has not got the file")
        return left

    def everything(self) -> tuple[list[Listed], list[str]]:
        """All files of the wanted packages in all suites, and what the client complained of. Raises Missed."""
        index = self._current(_LISTS_GOOD_FOR_ANOTHER_LOOK_S)
        return [one for one in index.files if one.package in self._packages], index.problems

    def fetch(self, entry: Listed, place: Path) -> None:
        """Has the client fetch a listed file to `place`, checked against the list's digest. Raises Missed."""
        self._current()
        done = self._run(str(_APT_HELPER), "download-file", entry.url, str(place), f"SHA256:{entry.sha256}")
        if done.returncode != 0 or not place.exists():
            output = done.stdout + done.stderr
            full_disk(output, place)
            gone = re.search(r"\b404 +Not Found", output) is not None
            why = "is listed, but its mirror has not got the file" if gone else f": {_complaint(output)}"
            raise Missed(f"the distribution's {_named([entry])} {why}".replace(" : ", ": "))

    def download(self, file: PinnedFile, directory: Path, meter: Meter) -> tuple[Path, str]:
        """Has the client fetch the file into `directory`; returns it, and where it came from for people.

        Raises Missed when the distribution has not got it, Wrong when it gives other bytes than it lists.
        """
        problem: Missed | Wrong = Missed("")
        try:
            places: Sequence[Listed] = self.listed(file)
        except Missed as missed:
            places = self._left_in_pool(file)
            problem = missed
        for entry in places:
            place = directory / file.sha256
            place.unlink(missing_ok=True)
            with meter.watching(file.sha256, directory):
                done = self._run(str(_APT_HELPER), "download-file", entry.url, str(place), f"SHA256:{entry.sha256}")
            origin = f"the distribution's {_named([entry])}"
            if done.returncode == 0 and place.exists():
                return place, origin
            output = done.stdout + done.stderr
            full_disk(output, place)
            if re.search(r"\b404 +Not Found", output):
                self._remember_gone(entry.url)
                if not isinstance(entry, Unlisted):
                    problem = Missed(f"{origin} is listed, but its mirror has not got the file")
            elif "sum mismatch" in output.lower() or "unexpected size" in output.lower():
                problem = Wrong(f"{origin} (its client refused them)", None, entry.size)
            else:
                problem = Missed(f"{origin}: {_complaint(output)}")
        raise problem

    def _left_in_pool(self, file: PinnedFile) -> list[Unlisted]:
        """Where the file would lie if it were listed: a pool keeps for a while what a suite carried before."""
        index = self._current()
        places = [
            Unlisted(one.package, one.version, one.suite, file.sha256, file.size or 0, address)
            for one in self._wanted
            if one.file in file.names and index.archive
            for address in [f"{index.archive}/{pool_path(one.package, one.file)}"]
        ]
        return [place for place in dict.fromkeys(places) if place.url not in index.gone]

    def _current(self, younger_than_s: float = _LISTS_GOOD_FOR_S) -> Index:
        with self._lock:
            if self._unusable is not None:
                raise Missed(self._unusable)
            if self._index is None or not 0 <= time.time() - self._index.at < younger_than_s:
                try:
                    self._index = self._read_or_update(younger_than_s)
                except Missed as missed:
                    self._unusable = str(missed)
                    raise
            return self._index

    def _read_or_update(self, younger_than_s: float) -> Index:
        if not _APT_HELPER.exists() or shutil.which("apt-get") is None:
            raise Missed("this machine has no apt")
        with self._held():
            index = self._stored(younger_than_s)
            if index is None:
                index = self._update()
                self._write(index)
            return index

    def _stored(self, younger_than_s: float = _LISTS_GOOD_FOR_S) -> Index | None:
        """The index of an earlier run, if it is young and was made for the packages and suites that are wanted now."""
        try:
            index = msgspec.json.decode((self._home / "index.json").read_bytes(), type=Index)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            return None
        fits = set(self._packages) <= set(index.packages) and set(self._suites) <= set(index.suites)
        return index if fits and 0 <= time.time() - index.at < younger_than_s else None

    def _write(self, index: Index) -> None:
        temporary = self._home / f".index.json.{os.getpid()}"
        temporary.write_bytes(msgspec.json.encode(index))
        temporary.rename(self._home / "index.json")

    def _remember_gone(self, url: str) -> None:
        with self._lock, self._held():
            index = self._stored() or self._index
            if index is not None and url not in index.gone:
                self._index = replace(index, gone=[*index.gone, url])
                self._write(self._index)

    def _update(self) -> Index:
        started = time.monotonic()
        codename = _codename()
        repositories = derived(read_repositories(self._etc), codename, self._suites)
        if not repositories:
            raise Missed(
                f"the machine's package sources name no mirror of its own release ({codename or 'not a Debian'})"
            )
        built = derived(read_repositories(self._etc), codename, self._built_suites)
        self._prepare("\n".join([as_deb822(repositories, "deb-src"), as_deb822(built, "deb")]))
        self._progress.line("distribution: fetching the lists of its packages")
        done = self._run("apt-get", "update", "--quiet")
        problems = problems_of(done.stdout + done.stderr)
        targets = [
            line
            for kind in ("Sources", "Packages")
            for line in self._run(
                "apt-get", "indextargets", "--format", _FORMAT, f"Created-By: {kind}"
            ).stdout.splitlines()
        ]
        files: list[Listed] = []
        for line in targets:
            suite, base, name = line.split("|")
            files += self._files_in(Path(name), suite, base)
        if not targets:
            why = "; ".join(problems) or f"apt-get update ended with {done.returncode}"
            raise Missed(f"the distribution's lists can't be had: {why}")
        for problem in problems:
            self._progress.line(f"distribution: {problem}")
        self._progress.line(
            f"distribution: {len(files)} files of {len(self._packages)} packages listed, "
            f"{seconds(time.monotonic() - started)}"
        )
        archive = repositories[0].uris[0].rstrip("/")
        return Index(time.time(), self._packages, self._suites, files, problems, archive=archive)

    def _prepare(self, sources: str) -> None:
        for part in ("lists/partial", "archives/partial", "sources.d"):
            (self._home / part).mkdir(parents=True, exist_ok=True)
        (self._home / "sources.d" / "pymint.sources").write_text(sources)
        (self._home / "status").touch()
        (self._home / "apt.conf").write_text(configuration(self._home))

    def _files_in(self, lists: Path, suite: str, base: str) -> Iterator[Listed]:
        done = subprocess.run(
            [_APT_HELPER, "-c", self._home / "apt.conf", "cat-file", lists], capture_output=True, check=False
        )
        text = b"\n" + done.stdout
        for package in self._packages:
            mark = f"\nPackage: {package}\n".encode()
            start = text.find(mark)
            while start >= 0:
                end = text.find(b"\n\n", start + len(mark))
                for fields in stanzas(text[start + 1 : end if end >= 0 else None].decode(errors="replace")):
                    yield from files_of(fields, suite, base)
                start = text.find(mark, start + len(mark))

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        program, *arguments = command
        return subprocess.run(
            [program, "-c", str(self._home / "apt.conf"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive"),
            stdin=subprocess.DEVNULL,
        )

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "lock").open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def pool_path(package: str, file: str) -> str:
    """Where Debian's archive keeps a source package's file: on the shelf of its first letter, `libx` for libraries."""
    return f"pool/main/{package[:4] if package.startswith('lib') else package[:1]}/{package}/{file}"


def files_of(fields: Mapping[str, str], suite: str, base: str) -> Iterator[Listed]:
    """The files of one stanza of a Sources or Packages index of `suite`, whose pool is below the URL `base`."""
    if "filename" in fields:
        url = f"{base.rstrip('/')}/{fields['filename']}"
        yield Listed(fields["package"], fields.get("version", ""), suite, fields["sha256"], int(fields["size"]), url)
    for line in fields.get("checksums-sha256", "").split("\n"):
        words = line.split()
        if len(words) == 3:
            url = f"{base.rstrip('/')}/{fields.get('directory', '')}/{words[2]}"
            yield Listed(fields["package"], fields.get("version", ""), suite, words[0], int(words[1]), url)


def problems_of(output: str) -> list[str]:
    """What `apt-get update` complained of, for people: suites that the mirror has not got, keys that are missing."""
    found: dict[str, None] = {}
    for line in output.splitlines():
        if not line.startswith(("E:", "W:")):
            continue
        suite = _SUITE.search(line)
        name = suite.group(1) if suite else "a suite"
        if "NO_PUBKEY" in line:
            keys = " ".join(_KEY.findall(line))
            found[f"{name} is signed by a key that this machine's keyring has not got ({keys}): not used"] = None
        elif "does not have a Release file" in line:
            found[f"the mirror has no suite {name}"] = None
        elif line.startswith("E:") and "is not signed" not in line and "Some index files" not in line:
            found[without_urls(line[2:].strip())] = None
        elif line.startswith("W: Failed to fetch"):
            found[f"the lists of {name} can't be had: {without_urls(line.split('  ', 1)[-1].strip())}"] = None
    return list(found)


def configuration(home: Path) -> str:
    """apt's configuration for the private state. Read after the machine's own, so what is said here holds.

    The machine's hooks are cleared: they are for its own lists and caches, and may delete from them.
    """
    lines = [f"#clear APT::Update::{hook};" for hook in _HOOKS] + [f"#clear DPkg::{hook};" for hook in _HOOKS]
    settings = {
        "Dir::State": home,
        "Dir::State::lists": home / "lists",
        "Dir::State::status": home / "status",
        "Dir::Cache": home,
        "Dir::Cache::archives": home / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": home / "sources.d",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": home / "preferences.d",
        "APT::Sandbox::User": "root",  # the state directory may be where no other user can write
        "Acquire::GzipIndexes": "true",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
        "APT::Get::List-Cleanup": "true",
    }
    return "\n".join([*lines, *(f'{key} "{value}";' for key, value in settings.items())]) + "\n"


def _codename(release: Path = Path("/etc/os-release")) -> str:
    """The machine's release, such as bookworm; '' where it is not a Debian."""
    try:
        pairs = (line.partition("=") for line in release.read_text().splitlines())
        facts = {key: value.strip("\"'") for key, _, value in pairs}
    except OSError:
        return ""
    return facts.get("VERSION_CODENAME", "") if facts.get("ID") == "debian" else ""


def _named(entries: Iterable[Listed]) -> str:
    return ", ".join(
        f"{entry.package} {entry.version} in {'the pool' if isinstance(entry, Unlisted) else entry.suite}"
        for entry in entries
    )


def _complaint(output: str) -> str:
    """The client's own words, without URLs, which tell the mirror that this machine is set up with."""
    lines = [line[2:] for line in output.splitlines() if line.startswith("E:") and "Download Failed" not in line]
    return without_urls(" ".join(" ".join(lines).split())) or "the client gave no reason"
