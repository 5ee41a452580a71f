"""The distribution's client in a state of its own: against a small signed repository on loopback, with the real apt."""

from __future__ import annotations

import email.utils
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from tests.unit.sources_server import Heard, Served, Server, pin, serving, sha
from workers.reports.build import ChosenPin
from workers.sources import distribution as module
from workers.sources.choose import choose
from workers.sources.distribution import Distribution, Index, configuration, pool_path, problems_of
from workers.sources.fetch import fetch
from workers.sources.meter import Meter
from workers.sources.outcome import Missed, Wrong
from workers.sources.pins import Distro, Pin
from workers.sources.repositories import read_repositories
from workers.sources.settings import SourceSettings

TARBALL = b"the distribution's tarball" * 100


def test_the_machines_hooks_are_not_run_for_the_private_state(tmp_path: Path) -> None:
    conf, machine = tmp_path / "apt.conf", tmp_path / "machine.conf"
    conf.write_text(configuration(tmp_path))
    machine.write_text('APT::Update::Post-Invoke { "rm -rf /var/cache/apt"; };\nDPkg::Post-Invoke { "true"; };\n')
    environment = {**os.environ, "APT_CONFIG": str(machine)}
    dump = subprocess.run(
        ["apt-config", "-c", conf, "dump"], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert re.findall(r'.*(?:Pre|Post)-Invoke.*"[^"\n]+".*', dump) == []
    assert f'Dir::State "{tmp_path}"' in dump
    assert "/var/lib/apt" not in dump


def test_what_the_client_complains_of_is_told_without_its_mirrors_address() -> None:
    output = """W: GPG error: http://m/debian forky InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 6ED0E7B82643E131
E: The repository 'http://m/debian forky InRelease' is not signed.
E: The repository 'http://m/debian gone Release' does not have a Release file.
W: Failed to fetch http://m/debian/dists/trixie/InRelease  Could not connect to m:80 (192.0.2.1)
W: Some index files failed to download. They have been ignored, or old ones used instead.
"""  # noqa: E501
    told = problems_of(output)
    assert told == [
        "forky is signed by a key that this machine's keyring has not got (6ED0E7B82643E131): not used",
        "the mirror has no suite gone",
        "the lists of trixie can't be had: Could not connect to m:80 (192.0.2.1)",
    ]


@dataclass
class Repository:
    """A mirror on loopback of one suite, `trixie`, with one source package, `hello`, and a machine set up for it."""

    site: Server
    home: Path
    etc: Path

    def distribution(self, state: Path, heard: Heard | None = None) -> Distribution:
        return Distribution(state, [HELLO], heard or Heard(), self.etc)


HELLO = Distro("hello", "2.10-3", "trixie", "hello_2.10.orig.tar.gz")


def _key(home: Path, name: str) -> Path:
    """A fresh signing key; returns its public half as a keyring that apt reads."""
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    subprocess.run([*gpg, "--passphrase", "", "--quick-gen-key", name, "ed25519", "sign"], check=True)
    ring = home / "public.gpg"
    subprocess.run([*gpg, "--output", str(ring), "--export"], check=True)
    return ring


def _signed_release(home: Path, indexes: Mapping[str, bytes]) -> bytes:
    date = email.utils.formatdate(time.time(), usegmt=True).replace("GMT", "UTC")
    text = (
        f"Origin: Test\nSuite: stable\nCodename: trixie\nDate: {date}\nArchitectures: amd64\nComponents: main\n"
        "SHA256:\n"
    ) + "".join(f" {hashlib.sha256(text).hexdigest()} {len(text)} {name}\n" for name, text in indexes.items())
    done = subprocess.run(
        ["gpg", "--homedir", str(home), "--batch", "--quiet", "--clearsign"],
        input=text.encode(),
        capture_output=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    for tool in ("apt-get", "gpg"):
        if shutil.which(tool) is None:
            pytest.skip(f"this machine has no {tool}")
    home = tmp_path_factory.mktemp("signer") / "gpg"
    _key(home, "mirror")
    yield home
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


@pytest.fixture
def repository(tmp_path: Path, signer: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setattr(module, "_codename", lambda: "trixie")
    sources = f"""Package: hello
Binary: hello
Version: 2.10-3
Directory: pool/main/h/hello
Checksums-Sha256:
 {sha(TARBALL)} {len(TARBALL)} hello_2.10.orig.tar.gz
 {sha(b"debian")} 6 hello_2.10-3.debian.tar.xz

Package: hello-again
Version: 1
Directory: pool/main/h/hello-again
Checksums-Sha256:
 {sha(b"again")} 5 hello-again_1.orig.tar.gz
""".encode()
    packages = f"""Package: hello-dev
Version: 2.10-3
Architecture: all
Filename: pool/main/h/hello/hello-dev_2.10-3_all.deb
Size: {len(TARBALL)}
SHA256: {sha(TARBALL)}
Description: headers
""".encode()
    with ExitStack() as stack:
        site = stack.enter_context(serving())
        indexes = {"main/source/Sources": sources, "main/binary-amd64/Packages": packages}
        site.files["debian/dists/trixie/InRelease"] = Served(_signed_release(signer, indexes))
        site.files |= {f"debian/dists/trixie/{name}": Served(text) for name, text in indexes.items()}
        site.files["debian/pool/main/h/hello/hello-dev_2.10-3_all.deb"] = Served(TARBALL)
        site.files["debian/pool/main/h/hello/hello_2.10.orig.tar.gz"] = Served(TARBALL)
        etc = tmp_path / "etc"
        (etc / "sources.list.d").mkdir(parents=True)
        (etc / "sources.list.d" / "machine.sources").write_text(
            f"Types: deb\nURIs: {site.url('debian')}\nSuites: trixie\nComponents: main\n"
            f"Signed-By: {signer}/public.gpg\n"
        )
        yield Repository(site, tmp_path, etc)


def hello(content: bytes = TARBALL) -> Pin:
    return pin(source="hello", version="2.10", content=content, distro=HELLO)


def test_the_clients_lists_are_read_and_the_file_is_fetched(repository: Repository, tmp_path: Path) -> None:
    heard = Heard()
    client = repository.distribution(tmp_path / "state", heard)
    path, origin = client.download(hello().files[0], tmp_path, Meter(Heard(), 0))
    assert path.read_bytes() == TARBALL
    assert any(line.startswith("distribution: 2 files of 1 packages listed") for line in heard.lines)
    assert origin == "the distribution's hello 2.10-3 in trixie"


def test_a_built_package_is_found_and_fetched_where_a_pin_names_one(repository: Repository, tmp_path: Path) -> None:
    if subprocess.run(["dpkg", "--print-architecture"], capture_output=True, check=True).stdout != b"amd64\n":
        pytest.skip("the mirror of this test has built packages for amd64 only")
    distro = Distro("hello-dev", "2.10-3", "trixie", "hello-dev_2.10-3_all.deb")
    headers = pin(source="hello", version="2.10-3", content=TARBALL, distro=distro)
    client = Distribution(tmp_path / "state", [distro], Heard(), repository.etc)

    path, origin = client.download(headers.files[0], tmp_path, Meter(Heard(), 0))

    assert path.read_bytes() == TARBALL
    assert origin == "the distribution's hello-dev 2.10-3 in trixie"
    asked = [request for request in repository.site.requests if "Packages" in str(request)]
    repository.distribution(tmp_path / "other").listed(hello().files[0])
    assert [request for request in repository.site.requests if "Packages" in str(request)] == asked


def test_lists_are_fetched_once_for_many_runs(repository: Repository, tmp_path: Path) -> None:
    repository.distribution(tmp_path / "state").listed(hello().files[0])
    before = len(repository.site.requests)
    heard = Heard()
    assert repository.distribution(tmp_path / "state", heard).listed(hello().files[0])
    assert len(repository.site.requests) == before
    assert heard.lines == []


def aged(state: Path, by_s: float) -> None:
    """Makes the stored index older."""
    path = state / "distribution" / "index.json"
    index = msgspec.json.decode(path.read_bytes(), type=Index)
    path.write_bytes(msgspec.json.encode(replace(index, at=index.at - by_s)))


def test_lists_are_fetched_again_after_hours(repository: Repository, tmp_path: Path) -> None:
    repository.distribution(tmp_path / "state").listed(hello().files[0])
    before = len(repository.site.requests)
    aged(tmp_path / "state", 7 * 3600)
    assert repository.distribution(tmp_path / "state").listed(hello().files[0])
    assert len(repository.site.requests) > before


def test_lists_of_some_age_are_fetched_again_for_a_file_that_they_have_not_got(
    repository: Repository, tmp_path: Path
) -> None:
    repository.distribution(tmp_path / "state").listed(hello().files[0])
    aged(tmp_path / "state", 2 * 3600)
    before = len(repository.site.requests)
    client = repository.distribution(tmp_path / "state")
    for _ in range(2):
        with pytest.raises(Missed):
            client.listed(hello(b"other").files[0])
    once = len(repository.site.requests)
    assert once > before
    with pytest.raises(Missed):
        repository.distribution(tmp_path / "state").listed(hello(b"other").files[0])
    assert len(repository.site.requests) == once


def test_a_file_that_no_list_has_is_missed(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(Missed, match="no suite of the distribution lists it"):
        repository.distribution(tmp_path / "state").listed(hello(b"other").files[0])


def unlisted(repository: Repository, signer: Path) -> None:
    """The suite has moved on to another package; the pool still has the old one."""
    sources = b"Package: hello-again\nVersion: 1\nDirectory: pool/main/h/hello-again\n"
    repository.site.files["debian/dists/trixie/main/source/Sources"] = Served(sources)
    repository.site.files["debian/dists/trixie/InRelease"] = Served(
        _signed_release(signer, {"main/source/Sources": sources})
    )


def test_a_file_that_no_list_names_any_more_still_comes_from_the_pool(
    repository: Repository, signer: Path, tmp_path: Path
) -> None:
    unlisted(repository, signer)
    client = repository.distribution(tmp_path / "state")
    path, origin = client.download(hello().files[0], tmp_path, Meter(Heard(), 0))
    assert path.read_bytes() == TARBALL
    assert origin == "the distribution's hello 2.10-3 in the pool"


def test_what_no_list_names_and_no_pool_has_is_missed_and_asked_for_once(
    repository: Repository, signer: Path, tmp_path: Path
) -> None:
    unlisted(repository, signer)
    place = "debian/pool/main/h/hello/hello_2.10.orig.tar.gz"
    del repository.site.files[place]
    for _ in range(2):
        with pytest.raises(Missed, match="no suite of the distribution lists it"):
            repository.distribution(tmp_path / "state").download(hello().files[0], tmp_path, Meter(Heard(), 0))
    assert len(repository.site.gets(place)) == 1


def test_a_pool_with_other_bytes_than_pinned_is_refused(repository: Repository, signer: Path, tmp_path: Path) -> None:
    unlisted(repository, signer)
    with pytest.raises(Wrong):
        repository.distribution(tmp_path / "state").download(hello(b"other").files[0], tmp_path, Meter(Heard(), 0))


def test_libraries_have_shelves_of_their_own_in_the_pool() -> None:
    assert pool_path("libedit", "libedit_3.1.orig.tar.gz") == "pool/main/libe/libedit/libedit_3.1.orig.tar.gz"
    assert pool_path("zlib", "zlib_1.orig.tar.gz") == "pool/main/z/zlib/zlib_1.orig.tar.gz"


def test_a_suite_that_the_mirror_has_not_got_is_told_and_does_not_hinder(
    repository: Repository, tmp_path: Path
) -> None:
    heard = Heard()
    repository.distribution(tmp_path / "state", heard).listed(hello().files[0])
    assert "distribution: the mirror has no suite trixie-updates" in heard.lines


def test_a_file_that_left_the_pool_is_missed_and_not_asked_for_again(repository: Repository, tmp_path: Path) -> None:
    path = "debian/pool/main/h/hello/hello_2.10.orig.tar.gz"
    del repository.site.files[path]
    client = repository.distribution(tmp_path / "state")
    with pytest.raises(Missed, match=r"hello 2.10-3 in trixie is listed, but its mirror has not got the file"):
        client.download(hello().files[0], tmp_path, Meter(Heard(), 0))
    asked = len(repository.site.gets(path))
    with pytest.raises(Missed, match=r"the distribution lists it \(hello 2.10-3 in trixie\)"):
        repository.distribution(tmp_path / "state").download(hello().files[0], tmp_path, Meter(Heard(), 0))
    assert len(repository.site.gets(path)) == asked


def test_a_pool_with_other_bytes_than_listed_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.site.files["debian/pool/main/h/hello/hello_2.10.orig.tar.gz"].content = b"?" * len(TARBALL)
    with pytest.raises(Wrong) as caught:
        repository.distribution(tmp_path / "state").download(hello().files[0], tmp_path, Meter(Heard(), 0))
    assert caught.value.origin == "the distribution's hello 2.10-3 in trixie (its client refused them)"


def test_lists_signed_by_an_unknown_key_are_not_used_and_the_key_is_named(
    repository: Repository, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    ring = _key(stranger, "stranger")
    entry = repository.etc / "sources.list.d" / "machine.sources"
    (known,) = read_repositories(repository.etc)
    entry.write_text(entry.read_text().replace(known.signed_by, str(ring)))
    with pytest.raises(
        Missed, match=r"trixie is signed by a key that this machine's keyring has not got \([0-9A-F]+\)"
    ):
        repository.distribution(tmp_path / "state").listed(hello().files[0])
    subprocess.run(["gpgconf", "--homedir", str(stranger), "--kill", "all"], check=False)


def test_lists_without_a_signature_are_not_used(repository: Repository, tmp_path: Path) -> None:
    site = repository.site
    plain = site.files.pop("debian/dists/trixie/InRelease").content.decode().split("\n\n", 1)[1]
    site.files["debian/dists/trixie/Release"] = Served(plain.split("-----BEGIN PGP")[0].encode())
    with pytest.raises(Missed, match="the distribution's lists can't be had"):
        repository.distribution(tmp_path / "state").listed(hello().files[0])


def test_the_machines_own_lists_stay_as_they_were(repository: Repository, tmp_path: Path) -> None:
    lists = Path("/var/lib/apt/lists")
    before = {path: path.stat().st_mtime_ns for path in [lists, *lists.glob("*")]} if lists.is_dir() else {}
    repository.distribution(tmp_path / "state").listed(hello().files[0])
    assert before == ({path: path.stat().st_mtime_ns for path in before})


def test_choosing_and_fetching_go_through_the_client_where_nobody_else_has_the_file(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Distribution.__init__, "__defaults__", (repository.etc,))
    newer = pin(repository.site.url("hello-3.tar.gz"), source="hello", version="3.0", content=b"newer")
    pins = {"hello": (newer, hello())}
    cache, state, settings = tmp_path / "cache", tmp_path / "state", SourceSettings()
    (found,) = choose(["hello"], pins, cache, state, settings, Heard())
    assert (found.version, found.newest) == ("2.10", "3.0")
    (got,) = fetch([found], pins, cache, state, settings, Heard())
    assert got.origin == "the cache (the distribution's hello 2.10-3 in trixie)"


def test_a_damaged_cached_file_comes_from_the_distribution_again(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Distribution.__init__, "__defaults__", (repository.etc,))
    pins = {"hello": (hello(),)}
    place = tmp_path / "cache" / "sha256" / sha(TARBALL)
    place.parent.mkdir(parents=True)
    place.write_bytes(TARBALL[:-1])
    chosen = [ChosenPin("hello", "2.10", sha(TARBALL), "2.10")]
    (got,) = fetch(chosen, pins, tmp_path / "cache", tmp_path / "state", SourceSettings(), Heard())
    assert got.origin == "the distribution's hello 2.10-3 in trixie"
    assert place.read_bytes() == TARBALL
