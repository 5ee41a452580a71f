"""One sample is one real process of the measured interpreter. What it took is not judged here, only that it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.materials import Materials, environment_of, interpreter
from tests.bench.measure import Bench, Unmeasurable
from tests.bench.tasks import ROWS, Task

PYTHON = Path(sys.executable)
BUSY = "import pyperf\npyperf.Runner().bench_func('busy', lambda: sum(i * i for i in range(300000)))\n"


def bench(place: Path, script: str) -> Bench:
    """A bench whose only benchmark is `script`."""
    folder = place / "pyperformance" / "data-files" / "benchmarks" / "bm_x"
    folder.mkdir(parents=True)
    (folder / "run_benchmark.py").write_text(script)
    return Bench(Materials(place, place / "data", {}), place, 0.02)


TASK = Task("x", "bm_x/run_benchmark.py")


def test_a_sample_runs_the_loops_it_was_told(tmp_path: Path) -> None:
    loops, seconds = bench(tmp_path, BUSY).sample(PYTHON, TASK, loops=7, seed=1)
    assert loops == 7
    assert seconds > 0


def test_without_loops_a_sample_finds_out_how_many_are_long_enough(tmp_path: Path) -> None:
    loops, seconds = bench(tmp_path, BUSY).sample(PYTHON, TASK, loops=0, seed=1)
    assert loops >= 1
    assert seconds >= 0.02 / 3


def test_a_commands_own_cpu_time_is_what_counts(tmp_path: Path) -> None:
    command = "[sys.executable, '-I', '-c', 'sum(i * i for i in range(300000))']"
    script = f"import sys, pyperf\npyperf.Runner().bench_command('busy', {command})\n"
    assert bench(tmp_path, script).sample(PYTHON, TASK, loops=1, seed=1)[1] > 0


def test_an_async_benchmark_runs(tmp_path: Path) -> None:
    script = (
        "import pyperf\n"
        "async def busy():\n    return sum(i * i for i in range(300000))\n"
        "pyperf.Runner().bench_async_func('busy', busy)\n"
    )
    assert bench(tmp_path, script).sample(PYTHON, TASK, loops=3, seed=1)[0] == 3


def test_a_benchmark_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        Unmeasurable, match="ended with 1: ModuleNotFoundError: No module named 'webencodings_not_here'"
    ):
        bench(tmp_path, "import webencodings_not_here\n").sample(PYTHON, TASK, loops=1, seed=1)


def test_nothing_of_the_callers_environment_reaches_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    seen = tmp_path / "seen.json"
    script = f"import json, os\nopen({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))\n{BUSY}"
    made = bench(tmp_path, script)
    made.sample(PYTHON, TASK, loops=1, seed=5)
    environment = json.loads(seen.read_text())
    assert "PYTHONOPTIMIZE" not in environment
    assert environment["PYTHONHASHSEED"] == "5"
    assert "PYTHON_FIPS" not in environment


def test_only_the_candidates_side_of_a_fips_row_is_in_fips_mode(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f"import os\nopen({str(seen)!r}, 'a').write(os.environ.get('BENCH_FIPS', '-'))\n{BUSY}"
    made = bench(tmp_path, script)
    task = Task("x", TASK.script, fips=True)
    made.pair("rows", task, 0, 1, (PYTHON, PYTHON))
    made.pair("rows", task, 1, 1, (PYTHON, PYTHON))
    assert seen.read_text() == "-11-"


def test_the_measured_interpreter_sees_no_installed_package(tmp_path: Path) -> None:
    python = environment_of(interpreter(PYTHON), tmp_path / "environment")
    said = subprocess.run(
        [python, "-c", "import sys; print(sys.prefix)\nimport pytest"], capture_output=True, text=True
    )
    assert said.stdout.strip() == str(tmp_path / "environment")
    assert "No module named 'pytest'" in said.stderr


@pytest.mark.parametrize("row", [row.name for row in ROWS if row.name.endswith("_10mb")])
def test_a_codecs_row_runs_where_python_has_the_codec_and_says_so_where_not(tmp_path: Path, row: str) -> None:
    (tmp_path / "data").write_bytes(b"words of a skewed vocabulary " * 1000)
    made = Bench(Materials(tmp_path, tmp_path / "data", {}), tmp_path, 0.02)
    task = next(task for task in ROWS if task.name == row)
    if row == "zstd_10mb" and sys.version_info < (3, 14):
        with pytest.raises(Unmeasurable, match="No module named 'compression'"):
            made.sample(PYTHON, task, loops=1, seed=1)
    else:
        assert made.sample(PYTHON, task, loops=0, seed=1)[1] > 0


def test_all_codecs_that_a_python_may_have_are_measured() -> None:
    assert {"zlib_10mb", "bz2_10mb", "lzma_10mb", "zstd_10mb"} <= {row.name for row in ROWS}
