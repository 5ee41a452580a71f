"""Training: exceptions, generators, coroutines, trees."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any


class Refused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"refused {code}")
        self.code = code


class Resource:
    opened = 0

    def __enter__(self) -> Resource:
        Resource.opened += 1
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        Resource.opened -= 1
        return isinstance(error, KeyError)


def run_exceptions() -> int:
    """Raising, catching, re-raising, finally, context managers."""

    def risky(value: int) -> int:
        if value % 11 == 0:
            raise Refused(value)
        if value % 13 == 0:
            return [1][value]
        return int("x") if value % 17 == 0 else value

    total = 0
    for i in range(1, 22000):
        try:
            with Resource():
                try:
                    total += risky(i)
                except IndexError:
                    total -= 1
                    raise KeyError(i) from None
                finally:
                    total += 2
        except Refused as error:
            total += error.code & 3
        except ValueError:
            total -= 2
        total += getattr(total, "nothing", 1)
    return total


def run_generators() -> int:
    """Pipelines of generators, send, itertools, unpacking."""

    def numbers(limit: int) -> Any:
        value = 0
        while value < limit:
            step = yield value
            value += step or 1

    def squares(source: Any) -> Any:
        for value in source:
            yield value * value

    def grouped(source: Any, size: int) -> Any:
        while chunk := tuple(itertools.islice(source, size)):
            yield chunk

    total = 0
    for _ in range(12):
        for first, *rest in grouped(squares(numbers(5000)), 4):
            total += first + sum(rest)
        talker = numbers(6000)
        next(talker)
        try:
            while True:
                total += talker.send(2)
        except StopIteration:
            pass
        total += sum(a * b for a, b in zip(range(2000), itertools.cycle((1, 2, 3))))
        total += sum(len(list(group)) for _, group in itertools.groupby(range(2000), lambda value: value // 7))
    return total


def run_coroutines() -> int:
    """async and await, async generators and context managers, driven by hand: an event loop would ask for the time."""

    class Pause:
        def __await__(self) -> Any:
            got = yield self
            return got

    class Span:
        async def __aenter__(self) -> int:
            await Pause()
            return 1

        async def __aexit__(self, *details: object) -> None:
            await Pause()

    async def ticks(count: int) -> Any:
        for i in range(count):
            await Pause()
            yield i

    async def fetch(value: int) -> int:
        await Pause()
        return value * 2

    async def work(name: int) -> int:
        total = 0
        async for i in ticks(30):
            async with Span() as one:
                total += await fetch(i) + one + name
        return total

    total = 0
    for _ in range(12):
        ready = deque(work(i) for i in range(20))
        while ready:
            task = ready.popleft()
            try:
                task.send(None)
            except StopIteration as stop:
                total += stop.value
            else:
                ready.append(task)
    return total


class Node:
    def __init__(self, left: Node | None, right: Node | None) -> None:
        self.left = left
        self.right = right
        self.parent: Node | None = None
        for child in (left, right):
            if child is not None:
                child.parent = self


def run_trees() -> int:
    """Trees with links to the parent, so that the cyclic garbage collector has honest work."""

    def tree(depth: int) -> Node:
        return Node(tree(depth - 1), tree(depth - 1)) if depth else Node(None, None)

    def count(node: Node | None) -> int:
        return 0 if node is None else 1 + count(node.left) + count(node.right)

    return sum(count(tree(11)) for _ in range(14))
