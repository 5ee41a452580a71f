"""The driver with real sandboxes and recipes of a few lines: what is built once, what fails, what is left behind."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workers import driver
from workers.driver import Workshop, build_nodes
from workers.errors import Failure
from workers.jobserver import Jobserver
from workers.model import load_matrix
from workers.nodes import NodeSpec
from workers.objects import extract
from workers.plan import plan_nodes, provider_facts
from workers.progress import Progress
from workers.reports.build import BuiltNode, CellName, ChosenPin, Plan
from workers.sandbox import sandbox_problem
from workers.sources.cache import cached_path
from workers.sources.pins import Pin
from workers.store import Store, sha256_of
from workers.toolchain import find_toolchain

needs_sandbox = pytest.mark.skipif(sandbox_problem() is not None, reason=f"no sandbox here: {sandbox_problem()}")
pytestmark = needs_sandbox

Make = Callable[..., Workshop]


def _source(cache: Path) -> ChosenPin:
    """A tarball with one file and a licence, in the cache."""
    path = cache / "tarball"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in (("tiny-1.0/value", b"42\n"), ("tiny-1.0/LICENSE", b"free\n")):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(text), 1_600_000_000
            tar.addfile(info, io.BytesIO(text))
    digest = sha256_of(path)
    target = cached_path(cache, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    return ChosenPin("tiny", "1.0", digest, "1.0")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A workshop for recipes given by name, each a node; `needs` says of whom."""
    shops: list[Workshop] = []

    def workshop(
        recipes: Mapping[str, str], needs: Mapping[str, tuple[str, ...]] | None = None, **more: Any
    ) -> Workshop:
        data, cache = tmp_path / "data", tmp_path / "cache"
        (data / "recipes").mkdir(parents=True, exist_ok=True)
        cache.mkdir(exist_ok=True)
        (tmp_path / "tmp").mkdir(exist_ok=True)
        pin = _source(cache)
        for name, text in recipes.items():
            (data / "recipes" / f"{name}.sh").write_text(text)
        specs = [
            NodeSpec(name, "dependencies", f"{name}.sh", sources=("tiny",), needs=(needs or {}).get(name, ()))
            for name in recipes
        ]
        store = Store(tmp_path / "store", lambda text: said.append(text))
        nodes = plan_nodes(
            specs,
            pins={"tiny": pin},
            toolchain={},
            text_of=lambda name: (data / name).read_text(),
            licences_of=lambda name: (),
            edits_of=lambda spec: {},
            is_stored=lambda key: store.checked(key) is not None,
        )
        facts = provider_facts("3.5.7", "toolchain", target_floor="2.17", environment_floor="2.31", slh_dsa=True)
        plan = Plan(
            "pymint/plan/2",
            CellName("3.13", "x86_64-unknown-linux-gnu", "noopt"),
            "0" * 40,
            False,
            0,
            "3.13.15",
            "archive",
            "key",
            False,
            {},
            facts,
            [pin],
            nodes,
        )
        shop = Workshop(
            plan=plan,
            target=load_matrix().targets["x86_64-unknown-linux-gnu"],
            toolchain=find_toolchain(),
            store=store,
            cache=cache,
            tmp=tmp_path / "tmp",
            logs=tmp_path / "logs",
            pins={"tiny": (Pin("tiny", "1.0", (), pin.sha256, None, (), ("LICENSE",), None, None, None, None),)},
            jobserver=Jobserver(2),
            progress=Progress(io.StringIO(), events=False),
            data=data,
        )
        shops.append(shop)
        return shop

    said: list[str] = []
    yield workshop
    for shop in shops:
        shop.jobserver.close()


def _content(shop: Workshop, built: BuiltNode, into: Path) -> Path:
    extract(shop.store.path_of(built.digest), into)
    return into


INSTALL = 'mkdir -p "$DESTDIR$PREFIX/lib"\n'


def test_a_node_sees_its_source_and_leaves_files_and_licence(make: Make, tmp_path: Path) -> None:
    shop = make({"one": INSTALL + 'cp "$SOURCE/value" "$DESTDIR$PREFIX/lib/one"\n'})
    (built,) = build_nodes(shop, ["one"])
    tree = _content(shop, built, tmp_path / "out")
    assert (tree / "lib" / "one").read_text() == "42\n"
    assert (tree / "licences" / "tiny" / "LICENSE").read_text() == "free\n"
    assert built.origin == "built"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_node_sees_what_it_needs_and_not_more(make: Make, tmp_path: Path) -> None:
    shop = make(
        {
            "one": INSTALL + 'echo one > "$DESTDIR$PREFIX/lib/one"\n',
            "other": INSTALL + 'echo other > "$DESTDIR$PREFIX/lib/other"\n',
            "two": INSTALL + 'test ! -e "$PREFIX/lib/other"; cat "$PREFIX/lib/one" > "$DESTDIR$PREFIX/lib/two"\n',
        },
        needs={"two": ("one",)},
    )
    built = build_nodes(shop, ["one", "other", "two"])
    assert [node.name for node in built] == ["one", "other", "two"]
    assert (_content(shop, built[2], tmp_path / "out") / "lib" / "two").read_text() == "one\n"


def test_the_same_recipe_gives_the_same_bytes_wherever_it_ran(make: Make, tmp_path: Path) -> None:
    recipe = (
        INSTALL + 'pwd > "$DESTDIR$PREFIX/lib/where"; env | grep -v MAKEFLAGS | sort >> "$DESTDIR$PREFIX/lib/where"\n'
    )
    shop = make({"one": recipe})
    (first,) = build_nodes(shop, ["one"])
    shop.store.prune(frozenset(), really=True)
    shop.tmp.rename(tmp_path / "elsewhere")
    moved = replace(shop, tmp=tmp_path / "elsewhere")
    (second,) = build_nodes(moved, ["one"])
    assert first.digest == second.digest


def test_a_failing_recipe_is_named_with_the_end_of_its_log(make: Make, tmp_path: Path) -> None:
    shop = make({"bad": "echo about to fail\nfalse\n", "good": INSTALL + 'echo 1 > "$DESTDIR$PREFIX/lib/good"\n'})
    with pytest.raises(Failure) as failure:
        build_nodes(shop, ["bad", "good"])
    text = str(failure.value)
    assert "bad.sh of bad 1.0 failed with exit code 1" in text
    assert "about to fail" in text
    assert str(tmp_path / "logs" / "bad.log") in text
    good = next(node for node in shop.plan.nodes if node.name == "good")
    assert shop.store.checked(good.key) is not None


def test_a_node_after_a_failed_one_is_not_started(make: Make) -> None:
    shop = make({"bad": "false\n", "after": INSTALL}, needs={"after": ("bad",)})
    with pytest.raises(Failure, match=r"bad\.sh"):
        build_nodes(shop, ["bad", "after"])
    assert not (shop.logs / "after.log").exists()


def test_what_a_killed_build_left_is_not_taken_for_a_build(make: Make) -> None:
    shop = make({"one": INSTALL + 'test ! -e /mnt/pymint/build/half; echo 1 > "$DESTDIR$PREFIX/lib/one"\n'})
    half = shop.tmp / shop.plan.nodes[0].key / "build"
    half.mkdir(parents=True)
    (half / "half").touch()
    build_nodes(shop, ["one"])


def test_two_builds_that_want_the_same_node_build_it_once(make: Make, tmp_path: Path) -> None:
    shop = make({"one": INSTALL + 'date +%N > "$DESTDIR$PREFIX/lib/one"; sleep 0.5\n'})
    results: list[BuiltNode] = []
    threads = [threading.Thread(target=lambda: results.extend(build_nodes(shop, ["one"]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(node.origin for node in results) == ["built", "store"]
    assert results[0].digest == results[1].digest


def test_a_source_that_is_not_in_the_cache_is_named(make: Make) -> None:
    shop = make({"one": INSTALL})
    cached_path(shop.cache, shop.plan.pins[0].sha256).unlink()
    with pytest.raises(Failure, match=r"tiny 1\.0, which is not in the cache"):
        build_nodes(shop, ["one"])


def test_a_recipe_sees_no_network_and_can_not_write_the_checkout(make: Make, tmp_path: Path) -> None:
    shop = make(
        {
            "one": 'if echo x > "$DATA/recipes/one.sh"; then exit 3; fi\n'
            + INSTALL
            + "sed -n 's/^ *\\([^:]*\\):.*/\\1/p' /proc/self/net/dev > \"$DESTDIR$PREFIX/lib/devices\"\n"
        }
    )
    (built,) = build_nodes(shop, ["one"])
    assert (_content(shop, built, tmp_path / "out") / "lib" / "devices").read_text().split() == ["lo"]


def test_the_error_says_which_recipe_wants_more_space(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make({"one": INSTALL})
    monkeypatch.setattr(driver, "_SPACE_FOR_A_NODE", 10**18)
    with pytest.raises(Failure, match="too little space for building one"):
        build_nodes(shop, ["one"])
