"""Training kernels: what the cyclic garbage collector does in ordinary programs, young and full collections.

The kernels of the other files allocate little that lives, so the collector that their allocations set off by themselves
finds almost nothing to walk through. Programs hold much: records, caches, trees, objects with attributes. What is held
here is what they hold, and each kind of collection happens about as often as there.
"""

from __future__ import annotations

import gc
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator


class Account:
    """With a dictionary of attributes, as most classes have it."""

    def __init__(self, number: int, owner: str) -> None:
        self.number = number
        self.owner = owner
        self.entries: list[tuple[int, float]] = [(number + i, i * 0.25) for i in range(5)]
        self.tags = {"open", owner}
        self.parent: Account | None = None
        self.children: list[Account] = []


class Leaf:
    """With slots, as classes of which there are many have it."""

    __slots__ = ("__weakref__", "owner", "value")

    def __init__(self, owner: object, value: int) -> None:
        self.owner = owner
        self.value = value


def _records(count: int) -> list[dict[str, object]]:
    """What comes out of a database or of JSON."""
    return [
        {
            "id": i,
            "name": f"record {i}",
            "at": (i // 60, i % 60),
            "lines": [{"amount": i * n, "text": "line"} for n in range(3)],
            "seen": {i, i + 1},
        }
        for i in range(count)
    ]


def _accounts(count: int) -> list[Account]:
    """A tree whose nodes know their parents."""
    accounts = [Account(i, f"owner {i % 50}") for i in range(count)]
    for i, account in enumerate(accounts[1:], 1):
        account.parent = accounts[(i - 1) // 3]
        account.parent.children.append(account)
    return accounts


def _handlers(count: int) -> dict[str, Callable[[int], int]]:
    """Closures, default arguments, bound methods: the routes of a service."""

    def make(number: int, extra: list[int]) -> Callable[[int], int]:
        def handler(value: int, *, seen: list[int] = extra) -> int:
            return value + number + len(seen)

        return handler

    found: dict[str, Callable[[int], int]] = {f"/made/{i}": make(i, [i]) for i in range(count)}
    found |= {f"/bound/{i}": [i].index for i in range(count)}
    return found


def run_full_collections() -> int:
    """A program that holds much asks for a full collection: a service between requests, a test runner between tests."""
    held = (
        _records(1500),
        _accounts(1200),
        _handlers(400),
        OrderedDict((f"key {i}", [i, (i, str(i))]) for i in range(1500)),
        deque(Leaf(None, i) for i in range(1500)),
        {(i, i + 1): frozenset((i, i * 2)) for i in range(800)},
        [[0.5 * j for j in range(12)] for _ in range(500)],
    )
    found = sum(gc.collect() for _ in range(6))
    for generation in (0, 1, 0, 0, 1, 0):
        held[0].extend(_records(60))
        found += gc.collect(generation)
    return found + len(held)


def run_cycles() -> int:
    """Rubbish that only the collector can free: parents and children, lists linked both ways, caches, closures."""

    class Link:
        def __init__(self, value: int) -> None:
            self.value = value
            self.before: Link | None = None
            self.after: Link | None = None

    def linked(length: int) -> Link:
        first = last = Link(0)
        for value in range(1, length):
            link = Link(value)
            link.before, last.after = last, link
            last = link
        return first

    def recursive(depth: int) -> Callable[[int], int]:
        def down(value: int) -> int:
            return value if value >= depth else down(value + 1)

        return down

    total = 0
    watched: list[weakref.ref[Account]] = []
    for turn in range(60):
        family = _accounts(40)
        watched.append(weakref.ref(family[-1]))
        total += sum(len(account.children) for account in family) + recursive(6)(turn % 6)
        total += linked(50).value
        ring: list[object] = [turn]
        ring.append({"ring": ring})
        try:
            raise LookupError(ring)
        except LookupError as error:
            ring.append(error)
        if turn % 15 == 14:
            del family, ring
            total += gc.collect()
            total += sum(reference() is None for reference in watched)
    return total


def run_growth() -> int:
    """What is kept grows, so that the collector's own schedule gets to all its generations; some of it is dropped."""
    kept: dict[int, object] = {}

    def arrivals(count: int) -> Iterator[tuple[int, object]]:
        for i in range(count):
            yield i, ({"id": i, "leaf": Leaf(kept, i)} if i % 3 else [i, [Leaf(None, i)], (i, {"n": i})])

    for i, thing in arrivals(9000):
        kept[i] = thing
        if i % 5 == 4:
            del kept[i - 2]
    return len(kept)
