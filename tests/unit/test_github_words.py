"""What GitHub is told: statuses and the comment, from data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from master.github.comment import Facts, Row, Shown, code, written
from master.github.statuses import Request, Status, duration, mark_of, of_commit, to_send

PAGE = "https://mint.example/"
CELL = "cpython-3.13-x86_64-unknown-linux-gnu-noopt"
HEAD = "a" * 40


def request(number: int = 1, builder: str = CELL, results: int | None = 0) -> Request:
    built = {"number": number, "buildid": number, "started_at": 1000, "complete_at": 1000 + 754}
    return Request(number, builder, 40 + number, results is not None, -1 if results is None else results, **built)


def states(*requests: Request) -> dict[str, str]:
    return {one.context: one.state for one in of_commit(requests, PAGE)}


@pytest.mark.parametrize(
    ("results", "state"),
    [(None, "pending"), (0, "success"), (1, "success"), (2, "failure"), (3, "error"), (4, "error"), (6, "error")],
)
def test_a_cell_is_what_its_build_came_to(results: int | None, state: str) -> None:
    assert states(request(results=results)) == {"pymint": state, f"pymint/{CELL}": state}


def test_the_one_in_all_fails_at_once_and_succeeds_last() -> None:
    other = CELL.replace("3.13", "3.12")
    assert states(request(1), request(2, other, None))["pymint"] == "pending"
    assert states(request(1), request(2, other, 0))["pymint"] == "success"
    assert states(request(1, results=2), request(2, other, None))["pymint"] == "failure"
    (in_all, *_) = of_commit([request(1, results=2), request(2, other, None), request(3, other + "-x", 6)], PAGE)
    assert in_all.description == "0 of 3 cells built, 1 failed, 1 broke off, 1 to go"
    assert in_all.url == f"{PAGE}#/builders/41/builds/1", "it leads to what failed"


def test_the_newest_request_of_a_cell_counts() -> None:
    assert states(request(1, results=2), request(2, results=0))["pymint"] == "success"
    assert states(request(2, results=0), request(1, results=2))["pymint"] == "success"


def test_what_a_pull_requests_worker_says_never_stands_above_what_mains_says() -> None:
    later = request(9, f"pr-{CELL}", 0)
    assert states(request(1, results=2), later) == {"pymint": "failure", f"pymint/{CELL}": "failure"}
    assert states(later) == {"pymint": "success", f"pymint/{CELL}": "success"}


def test_words_fit_and_lead_somewhere() -> None:
    (_, cell) = of_commit([request(1)], PAGE)
    assert cell == Status(f"pymint/{CELL}", "success", "built in 12 min", f"{PAGE}#/builders/41/builds/1")
    (_, waiting) = of_commit([replace(request(5, results=None), number=None)], PAGE)
    assert (waiting.description, waiting.url) == ("waits for a worker", f"{PAGE}#/buildrequests/5")
    (word,) = of_commit([], PAGE, "waits " * 100)
    assert (word.context, word.state, len(word.description)) == ("pymint", "pending", 140)
    assert of_commit([], PAGE) == []
    assert [duration(s) for s in (0, 59, 60, 3599, 3900, -5)] == ["0 s", "59 s", "1 min", "59 min", "1 h 05 min", "0 s"]


def test_only_what_is_news_is_sent() -> None:
    wanted = of_commit([request(1)], PAGE)
    assert to_send(wanted, {}) == wanted[0]
    assert to_send(wanted, {"pymint": mark_of(wanted[0])}) == wanted[1]
    assert to_send(wanted, {one.context: mark_of(one) for one in wanted}) is None
    assert to_send(wanted, {**{one.context: mark_of(one) for one in wanted}, "pymint": "pending|x|y"}) == wanted[0]


FACTS = Facts(
    {"zlib": "1", "openssl": "2", "gone": "3"}, {"openssl": "3.5.6"}, 100_000_000, "2.17", (40, 40), "3.5.7, toolchain"
)
ROW = Row(CELL, "success", "built in 12 min", f"{PAGE}#/b", f"{PAGE}files/", 754.0, FACTS, FACTS)


def shown(*rows: Row, waits: bool = False) -> str:
    return written(Shown(HEAD, "main", waits, rows, PAGE))


def test_a_cell_is_a_line_of_the_table() -> None:
    changed = replace(FACTS, nodes={"zlib": "1", "openssl": "9"}, pins={"openssl": "3.5.7"}, size=100_400_000)
    text = shown(replace(ROW, found=changed))
    (line,) = [one for one in text.splitlines() if one.startswith(f"| `{CELL}`")]
    assert line == (
        f"| `{CELL}` | ✅ built in 12 min | 100.4 MB (+0.4 %) | `2.17` | 40 checks held, `3.5.7, toolchain`, not "
        f"validated | 12 min | [build]({PAGE}#/b) · [files]({PAGE}files/) |"
    )
    assert "- every cell: 1 of 2 nodes have another key: `openssl`; gone: `gone`; pins: `openssl 3.5.6 → 3.5.7`" in text


def test_what_is_the_same_as_in_main_is_said_too() -> None:
    assert "100.0 MB (same size)" in shown(ROW)
    assert "no node has another key" in shown(ROW)
    assert "(new)" in shown(replace(ROW, main=Facts()))
    assert "every cell: no build there to compare with" in shown(replace(ROW, main=Facts()))


def test_what_failed_shows_as_far_as_it_came() -> None:
    text = shown(replace(ROW, state="failure", words="failed in 3 s", files=None, found=Facts()))
    assert "| ❌ failed in 3 s | – | – | – | 12 min | [build]" in text
    assert "**2 of 40 checks failed**" in shown(replace(ROW, found=replace(FACTS, checks=(38, 40))))
    assert "certificate `4985`" in shown(replace(ROW, found=replace(FACTS, certificate="4985")))


def test_a_fork_is_told_the_word_and_what_it_is_good_for() -> None:
    text = shown(waits=True)
    assert f"```\n/mint build {HEAD}\n```" in text
    assert "nothing of it is built until" in text


EVIL = [
    "x` @everyone `", "``` @everyone", "a | b | c", "![x](https://evil.example/x.png)", "<img src=x onerror=alert(1)>",
    "line\nbreak\r\n# heading", "\u202egnirts", "fixes #1", "\\`@everyone", "a\x00b\x1b[31m", "x" * 5000, "", "   ",
]  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
def test_foreign_text_never_leaves_its_code_span(evil: str) -> None:
    span = code(evil)
    if span == "–":
        return
    assert (span[0], span[-1]) == ("`", "`")
    inner = span[1:-1]
    assert not set(inner) & set("`|\n\r\\\u202e\x00\x1b")
    assert inner.strip()
    assert len(inner) <= 60
    facts = Facts({evil: "1"}, {evil: evil}, 1, evil, (1, 2), evil, evil)
    text = shown(replace(ROW, found=facts))
    (line,) = [one for one in text.splitlines() if one.startswith(f"| `{CELL}`")]
    assert line.count("|") == 8, "the table has as many columns as before"
    outside = "".join(text.split("`")[::2])
    for word in ("@everyone", "evil.example", "onerror", "fixes #1", "heading"):
        assert word not in outside
