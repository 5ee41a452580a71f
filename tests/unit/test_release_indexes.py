"""What tools read of a release, by the rules that their own parsers have for names, addresses and fields.

uv itself reads it in tests/real/test_release_uv.py; no other of these tools is run here.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest

from master.home import Home
from master.release import indexes
from master.release.address import page_of, url_of
from master.release.assets import media_type
from master.release.choice import Release
from master.release.model import Asset, Plan, ReleasedCell
from tests.unit.handover_samples import FACTS
from workers.model import FLAVOURS, ROOT, load_matrix
from workers.reports.build import CellName

TAG = "20261125"
X86, ARM, MACOS = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"
# As python-build-standalone's names are read; the triple ends before the parts of the variant.
PBS = re.compile(
    r"\Acpython-(?P<py>\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?)\+(?P<tag>\d+)-"
    r"(?P<triple>[a-z\d_]+-[a-z\d]+-(?:linux-gnu|darwin))-(?:(?P<build>[^-]+)-)?(?P<flavor>[a-z_]+)\.tar\.(?:gz|zst)\Z"
)


def cell_of(version: str, release: str, target: str, variant: str) -> tuple[ReleasedCell, list[Asset]]:
    cell = load_matrix().cell(version, target, variant)
    names = {flavour: cell.release_name(release, TAG, flavour) for flavour in FLAVOURS}
    assets = [
        Asset(
            name, 1000 + number, f"{abs(hash(name)):064x}"[:64], media_type(name), "archive", cell.builder_name, flavour
        )
        for number, (flavour, name) in enumerate(names.items())
    ]
    released = ReleasedCell(
        CellName(version, target, variant), cell.builder_name, 1, 1, "w", release, FACTS, "4" * 64, "2.17", "2.17", [],
        names, {},
    )  # fmt: skip
    return released, assets


@pytest.fixture(scope="module")
def plan() -> Plan:
    rows = [
        ("3.12", "3.12.14", X86, "pgo+lto"),
        ("3.14", "3.14.0rc2", X86, "pgo+lto"),
        ("3.13", "3.13.15", X86, "debug"),
        ("3.13", "3.13.15", X86, "noopt"),
        ("3.13", "3.13.15", X86, "pgo+lto"),
        ("3.13", "3.13.15", X86, "freethreaded+pgo+lto"),
        ("3.13", "3.13.15", ARM, "pgo+lto"),
        ("3.13", "3.13.15", MACOS, "pgo+lto"),
        ("3.13", "3.13.15", MACOS, "freethreaded+pgo+lto"),
    ]
    found = [cell_of(*row) for row in rows]
    assets = sorted((one for _, assets in found for one in assets), key=lambda one: one.name)
    return Plan(
        "pymint/release-plan/1", TAG, "c" * 40, 0, "https://github.com/example/pymint", False, "",
        [cell for cell, _ in found], assets, [], f"https://dl.example/py/{TAG}", "https://farm.example",
    )  # fmt: skip


def named(plan: Plan, name: str) -> Asset:
    found = plan.asset(name)
    assert found is not None, name
    return found


def test_every_archive_has_a_name_that_python_build_standalones_clients_parse(plan: Plan) -> None:
    for one in plan.assets:
        match = PBS.match(one.name)
        assert match is not None, one.name
        assert (match["tag"], match["flavor"]) == (TAG, one.flavour)
        assert match["triple"] in load_matrix().targets
        free = "freethreaded" in str(one.builder)
        assert (match["build"] or "").split("+")[0] == "freethreaded" or not free
    assert PBS.match(f"cpython-3.13.15+{TAG}-{X86}-freethreaded-install_only.tar.gz")["build"] == "freethreaded"  # type: ignore[index]


def chosen_by_rules_python(text: str) -> dict[tuple[str, str, bool], str]:
    """What its manifest reader takes: install_only before stripped before full, and nothing else."""
    order = {"install_only": 1, "install_only_stripped": 2, "full": 3}
    found: dict[tuple[str, str, bool], tuple[int, str]] = {}
    for line in text.splitlines():
        digest, name = line.split()
        stem = next((name.removesuffix(end) for end in (".tar.gz", ".tar.zst") if name.endswith(end)), None)
        if stem is None or not stem.startswith("cpython-"):
            continue
        version, _, tail = stem.removeprefix("cpython-").partition("+")
        _, _, rest = tail.partition("-")
        target = next(one for one in load_matrix().targets if rest.startswith(f"{one}-"))
        rest = rest.removeprefix(f"{target}-")
        free = rest.startswith(("freethreaded-", "freethreaded+"))
        flavour = next((one for one in order if rest == one or rest.endswith(f"-{one}")), None)
        if flavour is None or rest.startswith(("debug", "noopt")):
            continue
        key = (version, target, free)
        if key not in found or order[flavour] < found[key][0]:
            found[key] = (order[flavour], digest)
    return {key: digest for key, (_, digest) in found.items()}


def test_sums_are_a_manifest_for_rules_python(plan: Plan) -> None:
    extra = Asset("cpython-x.tar.gz.sigstore.json", 1, "0" * 64, "", "bundle")
    text = indexes.sums([*plan.assets, extra]).decode()
    assert [line.split("  ")[1] for line in text.splitlines()] == sorted([one.name for one in [*plan.assets, extra]])
    chosen = chosen_by_rules_python(text)
    assert chosen["3.13.15", X86, True] == named(
        plan, f"cpython-3.13.15+{TAG}-{X86}-freethreaded-install_only.tar.gz"
    ).sha256  # fmt: skip
    assert chosen["3.13.15", MACOS, False] == named(plan, f"cpython-3.13.15+{TAG}-{MACOS}-install_only.tar.gz").sha256


def test_uv_gets_the_smallest_archive_of_each_version_target_and_variant(plan: Plan) -> None:
    found = json.loads(indexes.uv_downloads(plan, plan.url))
    assert set(found) == {
        "cpython-3.12.14-linux-x86_64-gnu", "cpython-3.14.0rc2-linux-x86_64-gnu", "cpython-3.13.15-linux-x86_64-gnu",
        "cpython-3.13.15+debug-linux-x86_64-gnu", "cpython-3.13.15+freethreaded-linux-x86_64-gnu",
        "cpython-3.13.15-linux-aarch64-gnu", "cpython-3.13.15-darwin-aarch64-none",
        "cpython-3.13.15+freethreaded-darwin-aarch64-none",
    }  # fmt: skip
    name = f"cpython-3.13.15+{TAG}-{X86}-install_only_stripped.tar.gz"
    assert found["cpython-3.13.15-linux-x86_64-gnu"] == {
        "name": "cpython", "arch": {"family": "x86_64", "variant": None}, "os": "linux", "libc": "gnu", "major": 3,
        "minor": 13, "patch": 15, "prerelease": "", "variant": None, "build": TAG,
        "url": f"https://dl.example/py/{TAG}/{name.replace('+', '%2B')}", "sha256": named(plan, name).sha256,
    }  # fmt: skip
    assert found["cpython-3.14.0rc2-linux-x86_64-gnu"]["prerelease"] == "rc2"
    for one in found.values():
        last = one["url"].rpartition("/")[2].replace("%2B", "-")
        assert re.fullmatch(r"[A-Za-z0-9._-]+", last)
        assert one["variant"] in (None, "freethreaded", "debug")
        assert re.fullmatch(r"[0-9a-f]{64}", one["sha256"])


def test_the_list_for_mirrors_has_the_address_that_uv_replaces(plan: Plan) -> None:
    found = json.loads(indexes.uv_downloads(plan, indexes.canonical(TAG)))
    prefix = "https://github.com/astral-sh/python-build-standalone/releases/download/"
    assert all(one["url"].startswith(f"{prefix}{TAG}/cpython-") for one in found.values())


def test_versions_are_listed_newest_first_without_debug_symbols(plan: Plan) -> None:
    before = b'{"version":"3.13.14+20261001","date":"2026-10-01T00:00:00Z","artifacts":[]}\n'
    lines = [json.loads(line) for line in indexes.versions(plan, before).splitlines()]
    assert [line["version"] for line in lines] == [
        f"3.14.0rc2+{TAG}", f"3.13.15+{TAG}", f"3.12.14+{TAG}", "3.13.14+20261001",
    ]  # fmt: skip
    found = {(one["platform"], one["variant"]): one for one in lines[1]["artifacts"]}
    assert {variant for target, variant in found if target == MACOS} == {
        "pgo+lto+full", "install_only", "install_only_stripped", "freethreaded+pgo+lto+full",
        "freethreaded+install_only", "freethreaded+install_only_stripped",
    }  # fmt: skip
    assert found[X86, "install_only"]["archive_format"] == "tar.gz"
    assert lines[0]["date"] == "2026-11-25T00:00:00Z"


def test_a_prerelease_comes_before_its_release() -> None:
    versions = ["3.14.0rc2", "3.14.0", "3.13.15", "3.13.9", "3.14.1"]
    assert sorted(versions, key=indexes.newest_first) == ["3.14.1", "3.14.0", "3.14.0rc2", "3.13.15", "3.13.9"]


class Bazel:
    """What a MODULE.bazel calls: Starlark without a statement that Python does not have."""

    def __init__(self) -> None:
        self.overrides: list[Mapping[str, Any]] = []
        self.settings: Mapping[str, Any] = {}

    def use_extension(self, file: str, name: str) -> Bazel:
        assert (file, name) == ("@rules_python//python/extensions:python.bzl", "python")
        return self

    def single_version_platform_override(self, **said: Any) -> None:
        self.overrides.append(said)

    def override(self, **said: Any) -> None:
        self.settings = said


def test_bazel_gets_an_address_for_each_platform_that_rules_python_knows(plan: Plan) -> None:
    module = Bazel()
    exec(indexes.bazel(plan), {"use_extension": module.use_extension})
    assert [(one["python_version"], one["platform"]) for one in module.overrides] == [
        ("3.14.0rc2", X86), ("3.13.15", MACOS), ("3.13.15", f"{MACOS}-freethreaded"), ("3.13.15", ARM),
        ("3.13.15", X86), ("3.13.15", f"{X86}-freethreaded"), ("3.12.14", X86),
    ]  # fmt: skip
    for one in module.overrides:
        (url,) = one["urls"]
        archive = named(plan, unquote(url.rpartition("/")[2]))
        assert (one["sha256"], one["strip_prefix"], archive.flavour) == (
            archive.sha256,
            "python",
            "install_only_stripped",
        )
        assert ("freethreaded" in archive.name) == one["platform"].endswith("-freethreaded")
    assert module.settings == {"minor_mapping": {"3.14": "3.14.0rc2", "3.13": "3.13.15", "3.12": "3.12.14"}}


def test_pants_gets_version_platform_digest_size_and_address(plan: Plan) -> None:
    rows = tomllib.loads(indexes.pants(plan).decode())["python-build-standalone-python-provider"][
        "known_python_versions"
    ]
    found = {}
    for row in rows:
        version, platform, sha256, size, url = row.split("|")
        archive = named(plan, unquote(url.rpartition("/")[2]))
        assert (archive.sha256, archive.size) == (sha256, int(size))
        found[version, platform] = archive.name
    assert found == {
        (f"3.14.0rc2+{TAG}", "linux_x86_64"): f"cpython-3.14.0rc2+{TAG}-{X86}-install_only_stripped.tar.gz",
        (f"3.13.15+{TAG}", "macos_arm64"): f"cpython-3.13.15+{TAG}-{MACOS}-install_only_stripped.tar.gz",
        (f"3.13.15+{TAG}", "linux_arm64"): f"cpython-3.13.15+{TAG}-{ARM}-install_only_stripped.tar.gz",
        (f"3.13.15+{TAG}", "linux_x86_64"): f"cpython-3.13.15+{TAG}-{X86}-install_only_stripped.tar.gz",
        (f"3.12.14+{TAG}", "linux_x86_64"): f"cpython-3.12.14+{TAG}-{X86}-install_only_stripped.tar.gz",
    }


def test_hatch_gets_all_three_variables_of_each_distribution(plan: Plan) -> None:
    text = indexes.hatch(plan, X86).decode()
    said = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
    for name in ("3_12", "3_13", "3_13T", "3_14"):
        assert said.pop(f"HATCH_PYTHON_CUSTOM_SOURCE_{name}").endswith("-install_only_stripped.tar.gz")
        assert said.pop(f"HATCH_PYTHON_CUSTOM_PATH_{name}") == "python/bin/python3"
        assert said.pop(f"HATCH_PYTHON_CUSTOM_VERSION_{name}").endswith(f"+{TAG}")
    assert said == {}


def test_latest_says_where_the_newest_release_is(plan: Plan) -> None:
    assert json.loads(indexes.latest(plan)) == {
        "version": 1, "tag": TAG, "release_url": f"https://dl.example/py/{TAG}/index.html",
        "asset_url_prefix": f"https://dl.example/py/{TAG}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "url", "page"),
    [
        (Release(url="https://h/x/{tag}/"), f"https://h/x/{TAG}", f"https://h/x/{TAG}/index.html"),
        (Release(directory="/srv/out put"), f"file:///srv/out%20put/{TAG}", f"file:///srv/out%20put/{TAG}/index.html"),
        (Release(places=["s3", "directory"], s3_bucket="b", s3_prefix="/p/", s3_endpoint="https://s3.example/"),
         f"https://s3.example/b/p/{TAG}", f"https://s3.example/b/p/{TAG}/index.html"),
        (Release(places=["s3"], s3_bucket="b"), f"https://b.s3.us-east-1.amazonaws.com/{TAG}",
         f"https://b.s3.us-east-1.amazonaws.com/{TAG}/index.html"),
        (Release(places=["github"], github_repository="o/n"), f"https://github.com/o/n/releases/download/{TAG}",
         f"https://github.com/o/n/releases/tag/{TAG}"),
        (Release(places=["github"], github_repository="o/n", github_api="https://ghe.example/api/v3"),
         f"https://ghe.example/o/n/releases/download/{TAG}", f"https://ghe.example/o/n/releases/tag/{TAG}"),
    ],
)  # fmt: skip
def test_the_address_is_the_first_places_unless_one_is_said(chosen: Release, url: str, page: str) -> None:
    found = url_of(chosen, Home(ROOT / "home", ROOT), TAG)
    assert (found, page_of(found)) == (url, page)
