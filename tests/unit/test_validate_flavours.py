"""The rules of the smaller flavours, each tripped by facts that are good but for one thing."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest

from tests.unit.validate_flavour_faults import (
    CHANGES,
    FAMILY,
    GOOD,
    GOOD_DSYMS,
    GOOD_MACOS,
    GOOD_SYMBOLS,
    MORE_CHANGES,
    Change,
    more,
)
from workers.validate.bytecode import siphash_2_4, source_hash, source_of
from workers.validate.contents import Contents
from workers.validate.judge import judge
from workers.validate.policy import load_policy
from workers.validate.rule import make_case

GROUPS = ("flavour", "bytecode", "debug")


def broken(contents: Contents) -> set[str]:
    results = judge(make_case(contents, load_policy("pymint"), family=FAMILY))
    return {result.id for result in results if result.findings and result.id.partition(".")[0] in GROUPS}


@pytest.mark.parametrize("good", [GOOD, GOOD_SYMBOLS, GOOD_MACOS, GOOD_DSYMS], ids=lambda contents: contents.name)
def test_the_good_ones_break_none_of_them(good: Contents) -> None:
    assert broken(good) == set()


@pytest.mark.parametrize("good", [GOOD_SYMBOLS, GOOD_DSYMS], ids=lambda contents: contents.name)
def test_of_debug_symbols_nothing_is_wanted_that_only_an_interpreter_has(good: Contents) -> None:
    results = judge(make_case(good, load_policy("pymint"), family=FAMILY))
    assert [result.id for result in results if result.findings] == []


@pytest.mark.parametrize("name", CHANGES)
def test_one_fault_breaks_the_rule_for_it(name: str) -> None:
    good, change = CHANGES[name]
    assert name in broken(change(good))


@pytest.mark.parametrize(("name", "good", "change"), MORE_CHANGES)
def test_so_does_another_fault(name: str, good: Contents, change: Change) -> None:
    assert name in broken(change(good))


def test_the_version_is_seen_in_the_library_where_neither_document_nor_name_says_it() -> None:
    """What may be in an archive goes by its version: a renamed one is judged as strictly."""
    for name in (GOOD.name, "renamed.tar.gz"):
        good = replace(GOOD, name=name)
        assert make_case(good, load_policy("pymint")).version == "3.13"
        assert broken(more(good, "lib/python3.13/test/data/one.bin")) == {"flavour.left-out"}
    assert make_case(replace(GOOD, members=()), load_policy("pymint")).version == "3.13", "its name's"
    free_threaded = more(replace(GOOD, name="renamed.tar.gz", members=()), "install/lib/python3.14t/os.py")
    assert make_case(free_threaded, load_policy("pymint")).version == "3.14"


def test_the_hash_of_a_source_is_the_interpreters_own() -> None:
    magic = int.from_bytes(importlib.util.MAGIC_NUMBER, "little")
    assert source_hash(magic, b"x = 1\n") == importlib.util.source_hash(b"x = 1\n")


def test_siphash_2_4_is_the_published_one() -> None:
    assert siphash_2_4(0, b"") == 0x1E924B9D737700D7
    assert siphash_2_4(0, b"") != siphash_2_4(1, b"")


def test_a_compiled_file_names_its_source() -> None:
    assert source_of("lib/python3.13/__pycache__/os.cpython-313.pyc") == "lib/python3.13/os.py"
    assert source_of("lib/python3.13/os.pyc") is None
