"""Every recipe is sound shell, and every node of nodes.toml has a recipe."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from workers.graph import library_nodes
from workers.model import DATA, load_matrix
from workers.plan import in_build_order

RECIPES = sorted((DATA / "recipes").glob("*.sh"))


def _complaints(recipes: list[Path]) -> str:
    """What shellcheck says. SC1091: a recipe that reads another names it by a path that exists in the sandbox only."""
    command = ["shellcheck", "--shell=sh", "--exclude=SC1091", "--format=gcc", *map(str, recipes)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_recipes_are_sound_shell() -> None:
    assert _complaints(RECIPES) == ""


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_an_unsound_recipe_would_be_found(tmp_path: Path) -> None:
    recipe = tmp_path / "unsound.sh"
    recipe.write_text("#!/bin/sh -eu\nrm -r $DESTDIR/share\n")
    assert "SC2086" in _complaints([recipe])


def test_each_node_has_a_recipe_and_needs_nodes_that_exist() -> None:
    for target in load_matrix().targets.values():
        nodes = in_build_order(library_nodes(target, {}))
        assert [node.recipe for node in nodes if not (DATA / "recipes" / node.recipe).is_file()] == []


def test_no_recipe_takes_more_jobs_than_the_shared_jobserver_gives() -> None:
    own = re.compile(r"^\s*make\b.*\s-j", re.MULTILINE)
    assert [recipe.name for recipe in RECIPES if own.search(recipe.read_text())] == []


def test_no_recipe_downloads() -> None:
    asked = re.compile(r"^\s*(?:curl|wget|git|unzip|apt-get)\b", re.MULTILINE)
    assert [recipe.name for recipe in RECIPES if asked.search(recipe.read_text())] == []


def test_all_code_is_optimised_and_hidden_but_the_providers() -> None:
    """bz2 and lzma get 3 to 4 times slower without -O3. Hidden, the provider would not export its one symbol."""
    environments = {n.name: n.environment for n in library_nodes(load_matrix().targets["x86_64-unknown-linux-gnu"], {})}
    assert {name for name, env in environments.items() if "-O3" not in env["CFLAGS"].split()} == set()
    shown = {name for name, env in environments.items() if "-fvisibility=hidden" not in env["CFLAGS"].split()}
    assert shown == {"fips-provider"}


def test_flags_of_the_target_reach_every_node() -> None:
    target = load_matrix().targets["x86_64-unknown-linux-gnu"]
    for node in library_nodes(target, {}):
        assert set(target.cflags) <= set(node.environment["CFLAGS"].split()), node.name
        assert set(target.ldflags) <= set(node.environment["LDFLAGS"].split()), node.name


def test_every_source_of_a_node_is_pinned() -> None:
    pinned = set(tomllib.loads((DATA / "sources.toml").read_text()))
    raw = tomllib.loads((DATA / "nodes.toml").read_text())["node"]
    named = {source for row in raw.values() for source in (row.get("source"), *row.get("sources", ()))} - {None}
    assert named <= pinned


def test_by_the_policy_the_provider_is_built_with_nothing_of_ours() -> None:
    target = load_matrix().targets["x86_64-unknown-linux-gnu"]
    nodes = {node.name: node for node in library_nodes(target, {"PROCEDURE": "policy", "SLH_DSA": "no"})}
    provider = nodes["fips-provider"]
    assert provider.recipe == "fips-provider-policy.sh"
    assert provider.environment == {
        "PROCEDURE": "policy",
        "SYSTEM": "bullseye",
        "SYSTEM_PACKAGES": "gcc libc6-dev make perl",
    }
    assert provider.needs == ()
    assert "CFLAGS" in nodes["openssl"].environment
    text = (DATA / "recipes" / provider.recipe).read_text()
    commands = re.findall(r"^plain (.*)$", text, re.MULTILINE)
    assert commands == ["./Configure enable-fips", "make", "make install_fips"]
