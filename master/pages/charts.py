"""Charts as inline SVG, made from data. Each has a name and a description, and stands above a table with its figures.

What a series is never depends on a colour alone: lines differ in their dashes and their marks, bars in their pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from workers.progress import counted

MARKS = ("circle", "square", "diamond", "triangle")
DASHES = ("", "6 3", "2 3", "8 3 2 3")
LEFT, RIGHT, TOP, BOTTOM = 70, 16, 14, 34


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart: what it is, and a length for each kind of measure."""

    label: str
    values: Sequence[float]
    note: str = ""


@dataclass(frozen=True)
class Series:
    """A line: None where there is no value."""

    name: str
    values: Sequence[float | None]


def bars(name: str, kinds: Sequence[str], rows: Sequence[Bar], shown: Callable[[float], str]) -> Markup:
    """Horizontal bars, one group a row. shown: a value in words, such as "12 s"."""
    thick, gap, wide = 11, 12, 760
    left, right = 190, 90
    group = thick * len(kinds) + gap
    tall = group * len(rows) + 8
    largest = max((value for row in rows for value in row.values), default=0) or 1
    parts = []
    for index, row in enumerate(rows):
        top = 4 + index * group
        middle = top + thick * len(kinds) / 2 + 4
        parts.append(
            f'<text class="mint-label" x="{left - 8}" y="{middle:.1f}" text-anchor="end">{escape(row.label)}</text>'
        )
        for at, value in enumerate(row.values):
            length = max(1.0, (wide - left - right) * value / largest)
            y = top + at * thick
            parts.append(
                f'<rect class="mint-bar-{at}" x="{left}" y="{y}" width="{length:.1f}" height="{thick - 2}"></rect>'
                f'<text class="mint-value" x="{left + length + 5:.1f}" y="{y + thick - 2}">'
                f"{escape(shown(value))}</text>"
            )
    said = f"{counted(len(rows), 'row')}, each with {' and '.join(kinds)}; the longest is {shown(largest)}."
    return _svg(name, said, wide, tall, parts)


def lines(
    name: str, labels: Sequence[str], series: Sequence[Series], shown: Callable[[float], str], wide: int = 760
) -> Markup:
    """Lines over the same labels, from the oldest to the newest. The vertical axis begins at zero."""
    tall = 230
    known = [value for one in series for value in one.values if value is not None]
    largest = _rounded_up(max(known, default=0) or 1)
    many = max(1, len(labels) - 1)

    def x(at: int) -> float:
        return LEFT + (wide - LEFT - RIGHT) * (at / many if len(labels) > 1 else 0.5)

    def y(value: float) -> float:
        return TOP + (tall - TOP - BOTTOM) * (1 - value / largest)

    parts = []
    for step in range(5):
        value: float = largest * step / 4
        height = y(value)
        parts.append(
            f'<line class="mint-grid" x1="{LEFT}" x2="{wide - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"></line>'
            f'<text class="mint-value" x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">'
            f"{escape(shown(value))}</text>"
        )
    for at in sorted({0, len(labels) // 2, len(labels) - 1}) if labels else []:
        anchor = "start" if at == 0 and len(labels) > 1 else "end" if at == len(labels) - 1 and at else "middle"
        parts.append(
            f'<text class="mint-value" x="{x(at):.1f}" y="{tall - 12}" text-anchor="{anchor}">'
            f"{escape(labels[at])}</text>"
        )
    for number, one in enumerate(series):
        parts.extend(_line(number, [(x(at), y(value)) for at, value in enumerate(one.values) if value is not None]))
    newest = [f"{one.name}: {shown(last)}" for one in series if (last := _last(one.values)) is not None]
    said = f"{counted(len(labels), 'commit')}, oldest first. Newest: {'; '.join(newest) or 'none'}."
    return _svg(name, said, wide, tall, parts)


def legend(series: Sequence[Series]) -> Markup:
    """What line is which."""
    items = []
    for number, one in enumerate(series):
        sample = "".join(_line(number, [(2, 7), (17, 7), (32, 7)]))
        items.append(f'<li><svg width="34" height="14" aria-hidden="true">{sample}</svg> {escape(one.name)}</li>')
    return Markup(f'<ul class="mint-legend">{"".join(items)}</ul>')


def _line(number: int, points: Sequence[tuple[float, float]]) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = DASHES[number % len(DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    drawn = [f'<polyline class="mint-line mint-line-{number % 4}"{dashes} points="{path}"></polyline>']
    drawn += [_mark(MARKS[number % len(MARKS)], number % 4, x, y) for x, y in points]
    return drawn


def _mark(shape: str, number: int, x: float, y: float) -> str:
    kind = f'class="mint-mark mint-mark-{number}"'
    if shape == "circle":
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="3"></circle>'
    corners = {
        "square": ((-2.7, -2.7), (2.7, -2.7), (2.7, 2.7), (-2.7, 2.7)),
        "diamond": ((0, -4), (4, 0), (0, 4), (-4, 0)),
        "triangle": ((0, -3.6), (3.6, 2.7), (-3.6, 2.7)),
    }[shape]
    return f'<polygon {kind} points="{" ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)}"></polygon>'


def _last(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 or 10 times a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next((power * part for part in (1, 2, 2.5, 4, 5, 8) if power * part >= value), power * 10)


def _svg(name: str, said: str, wide: int, tall: int, parts: Sequence[str]) -> Markup:
    """`said` is for who does not see it."""
    return Markup(
        f'<svg class="mint-chart" role="img" viewBox="0 0 {wide} {tall:.0f}" '
        f'aria-label="{escape(name)}. {escape(said)}">'
        f"{''.join(parts)}</svg>"
    )
