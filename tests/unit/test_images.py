"""What an image is made of, its digest, the master's record of ids, what containers and pods are told and allowed."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path

import pytest

from master import settings
from master.fleet.choice import Docker, Kubernetes
from master.fleet.containers import confined, host_config, resources, told, volumes
from master.home import Home
from master.images import kept
from master.images.building import by_architecture, is_important
from master.images.choice import Images, complaint
from workers.errors import Failure
from workers.images import context
from workers.images.confinement import FORBIDDEN, seccomp
from workers.images.context import AptSource, Packages, offered, own_suite, parts_of, write_context
from workers.images.data import IMAGES, digest_of, image_named, load_images
from workers.images.engine import Engine
from workers.model import ROOT, load_matrix
from workers.reports.image import ImageReport, SmokeTest

X86, ARM, MAC = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"
ID, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
PACKAGES = Packages((AptSource("http://mirror.example/debian", "bookworm", "main", None),), {"git": "1:2.39"})


def test_every_image_has_a_dockerfile_and_tests() -> None:
    for name, spec in load_images().items():
        assert (IMAGES / name / "Dockerfile").is_file()
        assert len(spec.smoke) > 3
    with pytest.raises(Failure, match="there is no image 'gcc'"):
        image_named("gcc")


# The distribution of each module that is named otherwise.
DISTRIBUTIONS = {
    "buildbot_worker": "buildbot-worker", "cyclonedx": "cyclonedx-python-lib[json-validation]", "yaml": "pyyaml",
    "packageurl": "packageurl-python", "zlib_ng": "zlib-ng",
}  # fmt: skip


def test_the_workers_image_has_every_library_that_workers_import() -> None:
    spec = image_named("build")
    imported: set[str] = set()
    for path in [*(ROOT / "workers").rglob("*.py"), ROOT / "workers" / "service" / "buildbot.tac"]:
        if "probes" in path.parts or path.parent.name == "moved":  # run by what was built, not by the worker
            continue
        if "updates" in path.parts:  # run on the master's machine
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.partition(".")[0])
    constraints = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    named = {DISTRIBUTIONS.get(name, name) for name in imported}
    libraries = {name for name in named if name.partition("[")[0].lower() in constraints}
    assert libraries - set(spec.wheels) == set()
    assert {"buildbot-worker", "click", "msgspec"} <= libraries


def test_whatever_changes_an_image_changes_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = image_named("build")
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\n")
    one = digest_of(parts_of(spec, dockerfile, "amd64", PACKAGES))
    others = {
        digest_of(parts_of(spec, dockerfile, "arm64", PACKAGES)),
        digest_of(parts_of(spec, dockerfile, "amd64", dataclasses.replace(PACKAGES, state={"git": "1:2.40"}))),
        digest_of(parts_of(dataclasses.replace(spec, wheels=["click"]), dockerfile, "amd64", PACKAGES)),
        digest_of(parts_of(dataclasses.replace(spec, packages=[]), dockerfile, "amd64", PACKAGES)),
        digest_of(parts_of(dataclasses.replace(spec, files=["workers/errors.py"]), dockerfile, "amd64", PACKAGES)),
    }
    dockerfile.write_text("FROM scratch\nUSER 1\n")
    others.add(digest_of(parts_of(spec, dockerfile, "amd64", PACKAGES)))
    assert len(others | {one}) == 7
    dockerfile.write_text("FROM scratch\n")
    assert digest_of(parts_of(spec, dockerfile, "amd64", PACKAGES)) == one


def test_the_context_has_the_machines_sources_with_their_keys_and_no_bytecode(tmp_path: Path) -> None:
    key = tmp_path / "llvm.gpg"
    key.write_bytes(b"a key")
    packages = dataclasses.replace(PACKAGES, sources=(*PACKAGES.sources, AptSource("http://l", "llvm", "main", key)))
    spec = dataclasses.replace(image_named("build"), files=["workers/images"])
    into = tmp_path / "context"
    into.mkdir()
    write_context(spec, IMAGES / "build" / "Dockerfile", packages, None, into)
    assert (into / "apt" / "sources.list").read_text() == (
        "deb http://mirror.example/debian bookworm main\n"
        "deb [signed-by=/etc/apt/keyrings/llvm.gpg] http://l llvm main\n"
    )
    assert (into / "apt" / "keyrings" / "llvm.gpg").read_bytes() == b"a key"
    assert (into / "files" / "workers" / "images" / "data.py").is_file()
    assert list(into.rglob("__pycache__")) == []
    assert "clang-22" in (into / "apt" / "pymint-packages").read_text().split()


def test_apts_own_words_say_where_a_package_comes_from() -> None:
    said = (
        "  clang-22 | 1:22.1.8-1 | http://m/debian-security bookworm-security/main amd64 Packages\n"
        "  clang-22 | 1:22.1.1-1 | http://m/debian bookworm/main amd64 Packages\n"
        "       git | 1:2.39 | http://m/debian bookworm/main amd64 Packages\n"
        "       git | 1:2.39 | http://m/debian bookworm/main Sources\n"
    )
    assert offered(said) == {
        "clang-22": ("1:22.1.8-1", "http://m/debian-security", "bookworm-security", "main"),
        "git": ("1:2.39", "http://m/debian", "bookworm", "main"),
    }
    assert own_suite('ID=debian\nVERSION_CODENAME=bookworm\nNAME="x"\n') == "bookworm"
    assert own_suite("ID=fedora\n") is None


def test_what_apt_does_not_offer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_said", lambda command: "git | 1 | http://m/d bookworm/main amd64 Packages\n")
    with pytest.raises(Failure, match="does not offer all") as refused:
        context._own_packages(["git", "clang-22"])
    assert refused.value.found == "no clang-22"


def fake_docker(place: Path, script: str) -> None:
    program = place / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_the_id_is_the_engines_and_not_what_was_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With containerd's image store `load` prints one id and the engine has another."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    loads = f'"load "*) echo "Loaded image ID: {OTHER}";;'
    inspects = f'"image inspect") echo \'[{{"Id": "{ID}"}}]\';;'
    fake_docker(tmp_path, f'case "$1 $2" in {loads} {inspects} esac')
    assert Engine("unix:///x").load(tmp_path / "x.tar") == ID
    fake_docker(tmp_path, 'echo \'[{"Id": "latest"}]\'')
    with pytest.raises(Failure, match="something that is no id"):
        Engine("unix:///x").id_of("a")
    fake_docker(tmp_path, "echo no such thing >&2; exit 1")
    assert Engine("unix:///x").id_of("a") is None
    with pytest.raises(Failure, match="docker info ended with 1") as refused:
        Engine("unix:///x").identity()
    assert refused.value.found == "no such thing"


def report(**changes: object) -> ImageReport:
    made = ImageReport(
        "pymint/image/1", True, "build", "amd64", "1" * 64, {}, "pymint/build:amd64-1", ID, "", "ENGINE", "built", 5,
        [SmokeTest("true", True, "")],
    )  # fmt: skip
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_the_newest_good_image_of_a_processor_is_what_is_started(tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    with pytest.raises(Failure, match="there is no image 'build' for amd64"):
        kept.newest(file, "build", X86)
    kept.keep(file, report(), "1", 1)
    kept.keep(file, report(id=OTHER), "2", 2)
    kept.keep(file, report(id=f"sha256:{'c' * 64}", architecture="arm64"), "3", 3)
    assert kept.newest(file, "build", X86).id == OTHER
    kept.keep(file, report(), "4", 4)
    assert (kept.newest(file, "build", X86).id, len(kept.read(file).images)) == (ID, 3)


def test_the_newest_of_a_processor_that_makes_none_for_long_is_not_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    kept.keep(file, report(architecture="arm64"), "0", 0)
    for number in range(kept.KEPT + 5):
        kept.keep(file, report(id=f"sha256:{number:064x}"), "1", number)
    assert kept.newest(file, "build", ARM).id == ID
    assert len(kept.read(file).images) == kept.KEPT + 1


@pytest.mark.parametrize(
    "bad", [report(ok=False), report(smoke=[]), report(smoke=[SmokeTest("true", True, ""), SmokeTest("x", False, "")])]
)
def test_what_was_not_found_good_is_not_recorded(tmp_path: Path, bad: ImageReport) -> None:
    with pytest.raises(Failure, match="was not found good"):
        kept.keep(tmp_path / "images.json", bad, "1", 1)
    assert not (tmp_path / "images.json").exists()


def test_a_container_has_no_power_and_limits() -> None:
    config = host_config(Docker(memory_gb=2, cpus=1.5, pids=100, network="mint"))
    assert (config["mem_limit"], config["nano_cpus"], config["pids_limit"]) == (2_000_000_000, 1_500_000_000, 100)
    assert config["memswap_limit"] == config["mem_limit"], "else as much again in swap"
    assert config["cap_drop"] == ["ALL"]
    assert config["privileged"] is False
    assert "no-new-privileges:true" in config["security_opt"]
    assert f"seccomp={seccomp()}" in config["security_opt"]
    forbidden = json.loads(seccomp())["syscalls"][0]["names"]
    assert {"bpf", "keyctl", "kexec_load", "init_module", "perf_event_open"} <= set(forbidden)
    assert not {"unshare", "mount", "clone", "mount_setattr", "open_tree"} & set(FORBIDDEN), "recipes' sandboxes"


def test_a_pod_is_confined_as_a_container_is() -> None:
    pod = confined({"spec": {"containers": [{"name": "a", "image": "i"}], "restartPolicy": "Never"}})
    (container,) = pod["spec"]["containers"]
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert (security["runAsNonRoot"], security["allowPrivilegeEscalation"]) == (True, False)
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["restartPolicy"] == "Never"
    assert resources(Kubernetes("i", memory_gb=4, cpus=1.5))["limits"] == {"memory": "4000000000", "cpu": "1.5"}
    assert volumes(Kubernetes("i")) == [{"name": "state", "emptyDir": {}}]
    assert volumes(Kubernetes("i", claim="c"))[0]["persistentVolumeClaim"] == {"claimName": "c"}


def test_a_container_is_told_its_master_and_nothing_secret(tmp_path: Path) -> None:
    home = Home(tmp_path, ROOT)
    home.settings_file.write_text(
        f'[protocol]\ntls = true\n[[workers]]\nname = "a"\ntargets = ["{X86}"]\n[workers.docker]\nmaster = "10.0.0.1"\n'
    )
    chosen = settings.load(home, load_matrix())
    home.protocol_keys.mkdir(parents=True)
    (home.protocol_keys / "authority.pem").write_text("a certificate")
    (one,) = settings.workers_of(chosen)
    assert told(home, chosen, one, "10.0.0.1") == {
        "PYMINT_MASTER": "10.0.0.1", "PYMINT_PORT": "9989", "PYMINT_AUTHORITY": "a certificate", "PYMINT_DISK_GB": "50",
    }  # fmt: skip


def test_images_are_made_on_workers_of_their_own_processor(tmp_path: Path) -> None:
    home = Home(tmp_path, ROOT)
    home.settings_file.write_text(
        '[images]\nworkers = ["a", "b", "c"]\n'
        + "".join(f'[[workers]]\nname = "{name}"\ntargets = {targets}\n' for name, targets in
                  (("a", [X86]), ("b", [ARM]), ("c", [X86, MAC]), ("d", [X86])))
    )  # fmt: skip
    found = by_architecture(settings.load(home, load_matrix()))
    assert {key: [one.name for one in workers] for key, workers in found.items()} == {
        "x86_64": ["a", "c"],
        "aarch64": ["b"],
    }


class Change:
    def __init__(self, *files: str) -> None:
        self.files = list(files)


def test_only_what_may_change_an_image_makes_them_anew() -> None:
    assert is_important(Change("docs/x.md", "cpython-unix/images/build/Dockerfile"))
    assert is_important(Change("constraints.txt"))
    assert not is_important(Change("master/farm.py", "cpython-unix/recipes/zlib.sh"))


@pytest.mark.parametrize(
    "wrong",
    [
        Images(workers=["x"]),
        Images(workers=["mac"]),
        Images(names=["../x"]),
        Images(registry="http://x"),
        Images(keep=0),
    ],
)
def test_a_wrong_choice_of_images_is_refused(wrong: Images) -> None:
    assert complaint(wrong, {"a": [X86], "mac": [MAC]}) is not None
    assert complaint(Images(workers=["a"], registry="r.example:5000/p"), {"a": [X86]}) is None
