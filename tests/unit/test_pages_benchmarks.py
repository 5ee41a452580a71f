"""A measured comparison is kept for the build whose interpreter it measured, and for no other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from master.home import Home
from master.pages import benchmarks, trends
from master.pages.benchmarks import keep, kept
from master.store import DerivedRecord, Store
from tests.unit.test_pages_models import CELL, packed, point, record, shown
from workers.errors import Failure

PYTHON, STRIPPED = b"the interpreter", b"the interpreter, stripped"
ESTIMATE = {"ratio": 1.0244, "low": 1.007, "high": 1.035}


class Farm:
    """A farm's home and a store with build 7: a full archive and a stripped one."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root / "home", root)
        self.store = Store(root / "store")
        self.result = root / "result.json"
        full = self.store.put(packed(root / "c.tar.zst", {"python/install/bin/python3.13": PYTHON}), "c.tar.zst")
        smaller = self.store.put(packed(root / "s.tar.gz", {"python/bin/python3.13": STRIPPED}), "s.tar.gz")
        derived = [DerivedRecord("install_only_stripped", smaller, "0" * 64, 9)]
        self.store.add(replace(record(), archive=full, derived=derived, reports=[]))

    def measured(self, executable: bytes, **changes: Any) -> Path:
        side = {"version": "3.13.5", "compiler": "[GCC 14.2.0]", "sha256": "0" * 64}
        said = {"schema": "pymint/bench/1", "baseline": side, "total": ESTIMATE, "verdict": "faster", "pairs": [],
                "candidate": {**side, "sha256": hashlib.sha256(executable).hexdigest()}, **changes}  # fmt: skip
        self.result.write_text(json.dumps(said))
        return self.result

    def keep(self) -> str:
        return keep(self.home, self.store, self.result, CELL.builder_name, 7)


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


@pytest.mark.parametrize(("executable", "name"), [(PYTHON, "c.tar.zst"), (STRIPPED, "s.tar.gz")])
def test_a_result_is_kept_for_the_archive_that_holds_its_interpreter(farm: Farm, executable: bytes, name: str) -> None:
    farm.measured(executable)
    assert farm.keep() == f"{name}: 1.024 times as fast (1.007 to 1.035) against 3.13.5 (GCC 14.2.0)"
    found = kept(farm.home, CELL.builder_name, 7)
    assert found is not None
    assert found.total == benchmarks.Estimate(**ESTIMATE)
    assert kept(farm.home, CELL.builder_name, 8) is None


def test_another_interpreter_an_unfinished_run_and_an_unknown_build_are_refused(farm: Farm) -> None:
    farm.measured(b"somebody else's")
    with pytest.raises(Failure, match="not of this build"):
        farm.keep()
    farm.measured(PYTHON, total=None)
    with pytest.raises(Failure, match="holds no total yet"):
        farm.keep()
    farm.measured(PYTHON, schema="pymint/bench/2")
    with pytest.raises(Failure, match="Benchmark"):
        farm.keep()
    farm.measured(PYTHON)
    with pytest.raises(Failure, match="no archive of"):
        keep(farm.home, farm.store, farm.result, CELL.builder_name, 8)
    assert not farm.home.benchmarks.exists()


def test_a_damaged_file_is_no_line_in_the_chart(farm: Farm) -> None:
    place = benchmarks.place_of(farm.home, CELL.builder_name, 7)
    place.parent.mkdir(parents=True)
    place.write_text("{")
    assert kept(farm.home, CELL.builder_name, 7) is None


def test_each_interpreter_compared_with_is_a_line_of_its_own() -> None:
    points = [point(1, speed=1.02, against="against A"), point(2), point(3, speed=1.11, against="against <B>")]
    view = trends.model(trends.Snapshot(CELL.builder_name, [CELL.builder_name], points, 3), {})
    speed = view.charts[-1]
    assert (speed.title, list(speed.columns)) == ("Speed", ["against A", "against <B>"])
    assert [list(values) for _, values in speed.rows] == [["", "1.110"], ["", ""], ["1.020", ""]]
    assert "against &lt;B&gt;" in shown(trends.PAGE, view)
