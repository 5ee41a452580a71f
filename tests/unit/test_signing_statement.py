"""What is attested: the schemas of in-toto and SLSA, every input of every node, and nothing that does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from master.signing import facts, statement
from master.signing.statement import Evidence
from tests.unit.signing_samples import COMMIT, CONTENT, NAME, NAMES, SOURCE, evidence, sha
from workers.errors import Failure
from workers.reports.build import CellName, ChosenPin
from workers.sources.pins import load_pins

BUILD = statement.of_build(evidence(), NAMES)
DERIVED = statement.of_derived(evidence(), NAMES)


@pytest.mark.parametrize("said", [BUILD, DERIVED])
def test_statement_and_predicate_are_what_the_schemas_say(said: Mapping[str, Any]) -> None:
    """By the projects' own protobuf schemas, which refuse unknown fields and wrong types."""
    parsed = json_format.ParseDict(said, statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    predicate = json_format.ParseDict(said["predicate"], Provenance())
    assert predicate.build_definition.build_type.startswith("https://farm.example/buildtypes/")
    assert predicate.run_details.builder.id == NAMES.builder
    assert predicate.run_details.metadata.started_on.seconds > 1_700_000_000
    for one in predicate.build_definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(one).validate()


def test_every_input_of_every_node_is_in_it() -> None:
    needed = {one["name"]: one for one in BUILD["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert set(needed) == {
        "recipes", "source/zlib", "source/cpython-3.13", "toolchain/clang", "toolchain/llvm-objcopy", "object/zlib",
        "object/cpython-3.13",
    }  # fmt: skip
    assert needed["recipes"] == {
        "name": "recipes", "uri": f"git+{SOURCE}@{COMMIT}", "digest": {"gitCommit": COMMIT}
    }  # fmt: skip
    assert needed["source/zlib"] == {
        "name": "source/zlib",
        "uri": "https://zlib.net/zlib-1.3.2.tar.gz",
        "digest": {"sha256": "a" * 64},
        "annotations": {"version": "1.3.2", "deliveredBy": "the cache"},
    }
    assert needed["object/zlib"]["digest"] == {"sha256": "5" * 64}
    assert needed["object/zlib"]["annotations"] == {"key": "1" * 64, "stage": "dependencies", "origin": "built"}
    assert needed["toolchain/clang"]["digest"] == {"sha256": "d" * 64}


def test_the_subject_is_the_archive_and_the_tar_inside_is_named() -> None:
    assert BUILD["subject"] == [
        {"name": NAME, "digest": {"sha256": sha(CONTENT)}, "annotations": {"tarSha256": "7" * 64}}
    ]


def test_the_same_evidence_is_the_same_bytes() -> None:
    assert statement.payload(BUILD) == statement.payload(json.loads(statement.payload(BUILD)))


def test_what_a_person_decides_is_in_the_external_parameters() -> None:
    for said in (BUILD, DERIVED):
        assert said is not None
        assert set(said["predicate"]["buildDefinition"]["externalParameters"]) == statement.EXTERNAL


@pytest.mark.parametrize(
    ("lie", "text"),
    [
        (lambda e: replace(e, run=replace(e.run, revision="d" * 40)), "another commit was requested than recorded"),
        (lambda e: replace(e, run=replace(e.run, buildid=42)), "the record has another id than the build"),
        (lambda e: replace(e, run=replace(e.run, worker="other")), "the record names another worker"),
        (lambda e: replace(e, run=replace(e.run, number=8)), "the record is of another build"),
        (lambda e: replace(e, run=replace(e.run, properties={})), "the build was of another cell"),
        (lambda e: replace(e, plan=replace(e.plan, commit="d" * 40)), "another commit was planned"),
        (lambda e: replace(e, plan=replace(e.plan, dirty=True)), "a changed checkout"),
        (lambda e: replace(e, plan=replace(e.plan, cell=CellName("3.12", "x", "y"))), "the plan is of another cell"),
        (lambda e: replace(e, nodes=(replace(e.nodes[0], key="0" * 64),)), "the node zlib has another key"),
        (lambda e: replace(e, nodes=(replace(e.nodes[0], name="extra"),)), "the node extra has another key"),
    ],
)
def test_what_does_not_fit_together_is_not_signed(lie: Callable[[Evidence], Evidence], text: str) -> None:
    statement.check(evidence())
    with pytest.raises(Failure, match=text):
        statement.check(lie(evidence()))


def test_a_source_that_the_commit_does_not_pin_is_not_signed() -> None:
    plan = evidence().plan
    with pytest.raises(Failure, match="no pin of zlib has the planned digest"):
        facts.origins(plan, load_pins())
    assert facts.origins(plan, None)["a" * 64] == "pkg:generic/zlib@1.3.2"


def test_every_pin_has_an_address_for_each_of_its_files() -> None:
    plan = evidence().plan
    for source, pins in load_pins().items():
        for pin in pins:
            for file in pin.files:
                chosen = ChosenPin(source, pin.version, file.sha256, pin.version)
                (uri,) = facts.origins(replace(plan, pins=[chosen]), {source: pins}).values()
                assert uri.startswith(("https://", "http://", "pkg:deb/debian/", "pkg:pypi/")), uri
                assert not (file.repacked and uri.startswith("http")), uri
