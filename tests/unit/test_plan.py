"""Keys: what can change a node's bytes changes its key, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from workers.errors import Failure
from workers.model import load_matrix
from workers.nodes import NodeSpec
from workers.plan import archive_name, in_build_order, missing, plan_nodes, provider_facts, shipped_nodes, wanted_nodes
from workers.reports.build import ChosenPin, PlannedNode

SYSROOT = NodeSpec("sysroot", "dependencies", "sysroot.sh", sources=("ziglang",))
ZLIB = NodeSpec("zlib", "dependencies", "zlib.sh", sources=("zlib",), needs=("sysroot",), environment={"CFLAGS": "-O3"})
PYTHON = NodeSpec(
    "cpython", "cpython", "cpython.sh", sources=("cpython-3.13",), needs=("zlib", "sysroot"), edits="3.13"
)
PINS = {
    name: ChosenPin(name, version, digest * 32, version)
    for name, version, digest in (
        ("ziglang", "0.17.1", "aa"),
        ("zlib", "1.3.2", "bb"),
        ("cpython-3.13", "3.13.15", "cc"),
    )
}


def plan(
    *specs: NodeSpec,
    pins: Mapping[str, ChosenPin] = PINS,
    toolchain: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    edits: Mapping[str, str] | None = None,
    licences: Mapping[str, Sequence[str]] | None = None,
    stored: frozenset[str] = frozenset(),
) -> dict[str, PlannedNode]:
    nodes = plan_nodes(
        specs or (SYSROOT, ZLIB, PYTHON),
        pins=pins,
        toolchain=toolchain or {"clang": "22.1.8"},
        text_of=lambda name: (texts or {}).get(name, name),
        licences_of=lambda name: (licences or {}).get(name, ("LICENSE",)),
        edits_of=lambda spec: (edits or {"fips": "1"}) if spec.edits else {},
        is_stored=lambda key: key in stored,
    )
    return {node.name: node for node in nodes}


def changed(first: dict[str, PlannedNode], second: dict[str, PlannedNode]) -> set[str]:
    return {name for name in first if first[name].key != second[name].key}


def test_the_same_inputs_give_the_same_keys() -> None:
    assert changed(plan(), plan()) == set()


def test_the_order_in_which_nodes_are_listed_does_not_matter() -> None:
    assert changed(plan(), plan(PYTHON, ZLIB, SYSROOT)) == set()


def test_a_recipe_changes_its_node_and_what_needs_it() -> None:
    assert changed(plan(), plan(texts={"recipes/zlib.sh": "other"})) == {"zlib", "cpython"}


def test_the_licence_texts_that_are_kept_change_their_node_and_what_needs_it() -> None:
    assert changed(plan(), plan(licences={"zlib": ("LICENSE", "NOTICE")})) == {"zlib", "cpython"}


def test_an_edit_changes_only_the_cpython_nodes() -> None:
    assert changed(plan(), plan(edits={"fips": "2"})) == {"cpython"}


def test_the_toolchain_changes_everything() -> None:
    assert changed(plan(), plan(toolchain={"clang": "22.1.9"})) == {"sysroot", "zlib", "cpython"}


def test_other_bytes_of_the_same_release_change_the_key() -> None:
    repacked = {**PINS, "zlib": replace(PINS["zlib"], sha256="dd" * 32)}
    assert changed(plan(), plan(pins=repacked)) == {"zlib", "cpython"}


def test_a_flag_changes_the_key() -> None:
    debug = replace(ZLIB, environment={"CFLAGS": "-O0"})
    assert changed(plan(), plan(SYSROOT, debug, PYTHON)) == {"zlib", "cpython"}


def test_a_data_file_changes_the_key() -> None:
    first = plan(SYSROOT, replace(ZLIB, data=("modules.toml",)), texts={"modules.toml": "1"})
    second = plan(SYSROOT, replace(ZLIB, data=("modules.toml",)), texts={"modules.toml": "2"})
    assert changed(first, second) == {"zlib"}


def test_a_stored_node_needs_nothing_that_it_was_made_from() -> None:
    keys = plan()
    nodes = plan(stored=frozenset({keys["zlib"].key}))
    assert missing(list(nodes.values()), ["cpython", "zlib"]) == ["sysroot", "cpython"]
    nodes = plan(stored=frozenset({keys["zlib"].key, keys["cpython"].key}))
    assert missing(list(nodes.values()), ["cpython", "zlib"]) == []


def test_a_circle_is_named() -> None:
    one = NodeSpec("one", "dependencies", "r.sh", needs=("two",))
    two = NodeSpec("two", "dependencies", "r.sh", needs=("one",))
    with pytest.raises(Failure, match="one → two → one"):
        in_build_order([one, two])


def test_an_unknown_need_is_answered_with_the_nodes_that_exist() -> None:
    with pytest.raises(Failure, match="zlib needs sysroot, which is no node") as failure:
        in_build_order([ZLIB])
    assert "Known: zlib." in str(failure.value)


def test_the_archive_is_made_of_the_libraries_and_the_last_cpython() -> None:
    build = NodeSpec("cpython-build", "cpython", "b.sh", sources=("cpython-3.13",))
    nodes = plan(SYSROOT, ZLIB, build, replace(PYTHON, needs=("zlib", "sysroot", "cpython-build")))
    assert shipped_nodes(list(nodes.values())) == ["sysroot", "zlib", "cpython"]


def test_what_the_proof_needs_is_built_and_not_shipped() -> None:
    tests = NodeSpec("openssl-tests", "fips-provider", "t.sh")
    nodes = list(plan(SYSROOT, tests, replace(PYTHON, needs=("sysroot",))).values())
    assert "openssl-tests" not in shipped_nodes(nodes)
    assert "openssl-tests" in wanted_nodes(nodes)


@pytest.mark.parametrize(
    ("version", "procedure", "certificate"),
    [
        ("3.1.2", "policy", "4985"),
        ("3.1.2", "toolchain", None),
        ("3.5.7", "policy", None),
        ("3.5.7", "toolchain", None),
    ],
)
def test_only_the_validated_release_built_by_the_policy_has_a_certificate(
    version: str, procedure: str, certificate: str | None
) -> None:
    facts = provider_facts(version, procedure, target_floor="2.17", environment_floor="2.31", slh_dsa=True)
    assert facts.certificate == certificate
    assert facts.glibc_floor == ("2.31" if procedure == "policy" else "2.17")


def test_the_archives_date_is_the_commits_in_utc() -> None:
    cell = load_matrix().cell("3.13", "x86_64-unknown-linux-gnu", "noopt")
    assert archive_name(cell, "3.13.15", 1700000000) == (
        "cpython-3.13.15-x86_64-unknown-linux-gnu-noopt-20231114T2213.tar.zst"
    )
