"""The result as text. Ratios are the baseline's time over the candidate's: above 1 the candidate is the faster one."""

from __future__ import annotations

from tests.bench.figures import Estimate
from tests.bench.result import Interpreter, Result, Row, shortfalls
from tests.bench.tasks import BENCHMARKS, FIPS_ROW

_HEAD = f"{'':22}{'baseline':>12}{'candidate':>12}{'ratio':>8}{'95 % interval':>17}{'A/A interval':>17}{'pairs':>7}"


def duration(milliseconds: float) -> str:
    """Four digits and a unit that suits them."""
    return f"{milliseconds * 1000:.4g} us" if milliseconds < 1 else f"{milliseconds:.4g} ms"


def _interval(estimate: Estimate | None) -> str:
    return f"{estimate.low:.3f} to {estimate.high:.3f}" if estimate else ""


def _line(name: str, row: Row) -> str:
    return (
        f"{name:22}{duration(row.baseline_ms):>12}{duration(row.candidate_ms):>12}{row.estimate.ratio:8.3f}"
        f"{_interval(row.estimate):>17}{_interval(row.noise):>17}{row.pairs:7}"
    )


def _interpreter(role: str, found: Interpreter) -> list[str]:
    return [
        f"{role} {found.version}",
        f"  sha256 {found.sha256}, {found.openssl}, PYTHON_FIPS=1 {'is' if found.fips else 'is not'} heeded",
        *(f"  {name}: {value}" for name, value in sorted(found.flags.items()) if value),
    ]


def _verdict(result: Result) -> str:
    if result.verdict is None:
        return "verdict none: too few rounds; the same command with the same --json goes on from here"
    if result.verdict == "no difference seen":
        return "verdict no difference that this run could see"
    return f"verdict {result.verdict} than the baseline"


def text_of(result: Result) -> str:
    """The whole result, for a terminal and for a note."""
    machine = result.machine
    loads = [pair.load for pair in result.pairs]
    chosen = [task.name for task in BENCHMARKS]
    packages = ", ".join(f"{name} {version}" for name, version in result.packages.items())
    place = f"{machine.cpu}, {machine.cpus} CPUs, {machine.memory_gib} GiB, {machine.kernel}"
    lines = [
        "",
        *_interpreter("baseline ", result.baseline),
        *_interpreter("candidate", result.candidate),
        f"{place}; load {min(loads, default=machine.load)} to {max(loads, default=machine.load)}",
        f"{packages}; user CPU time of a loop; ratio above 1: the candidate is faster",
        "",
        _HEAD,
        *(_line(name, result.rows[name]) for name in chosen if name in result.rows),
        "",
        *(_line(name, row) for name, row in result.rows.items() if name not in chosen),
    ]
    if FIPS_ROW.name in result.rows:
        lines.append(f"({FIPS_ROW.name}: the candidate without FIPS mode against the candidate with it)")
    lines.append("")
    if result.noise:
        floor = f"noise floor {100 * result.noise.spread:.1f} %"
        lines.append(f"A/A     {result.noise.ratio:.3f}, 95 % interval {_interval(result.noise)}: {floor}")
    if result.total:
        lines.append(f"A/B     {result.total.ratio:.3f}, 95 % interval {_interval(result.total)}")
    lines.append(_verdict(result))
    if short := shortfalls(result):
        lines.append("less than the protocol asks for: " + "; ".join(short))
    return "\n".join(lines)
