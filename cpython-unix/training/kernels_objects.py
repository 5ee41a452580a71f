"""Training kernels: calls, attributes, containers, numbers, generators, exceptions."""

from __future__ import annotations

import functools
import heapq
import itertools
from collections import deque
from typing import Any


class Body:
    def __init__(self, place: list[float], speed: list[float], mass: float) -> None:
        self.place = place
        self.speed = speed
        self.mass = mass


def run_planets() -> float:
    """Floating point and attribute access: gravity between six bodies."""
    bodies = [Body([float(i), i * 0.7, 0.1 * i], [0.0, 0.3 * i, 0.01], 1.0 / (i + 1)) for i in range(6)]
    pairs = list(itertools.combinations(bodies, 2))
    for _ in range(4000):
        for a, b in pairs:
            dx = a.place[0] - b.place[0]
            dy = a.place[1] - b.place[1]
            dz = a.place[2] - b.place[2]
            pull = 0.001 / (dx * dx + dy * dy + dz * dz + 0.01) ** 1.5
            for axis, d in enumerate((dx, dy, dz)):
                a.speed[axis] -= d * b.mass * pull
                b.speed[axis] += d * a.mass * pull
        for body in bodies:
            place, speed = body.place, body.speed
            place[0] += 0.001 * speed[0]
            place[1] += 0.001 * speed[1]
            place[2] += 0.001 * speed[2]
    return sum(body.mass * sum(v * v for v in body.speed) for body in bodies)


class Job:
    __slots__ = ("inbox", "left", "name", "priority", "waiting")

    def __init__(self, name: str, priority: int, left: int) -> None:
        self.name = name
        self.priority = priority
        self.left = left
        self.inbox: deque[tuple[str, int]] = deque()
        self.waiting = False

    def step(self, system: System) -> None:
        raise NotImplementedError

    def done(self) -> bool:
        return self.left <= 0


class Sender(Job):
    def step(self, system: System) -> None:
        self.left -= 1
        system.post(f"worker{self.left % 5}", self.name, self.left)


class Worker(Job):
    handled = 0

    def step(self, system: System) -> None:
        if not self.inbox:
            self.waiting = True
            return
        origin, value = self.inbox.popleft()
        self.handled += value & 7
        if value % 3 == 0:
            system.post("log", self.name, value)
        self.left -= len(origin) > 100


class Log(Job):
    def step(self, system: System) -> None:
        while self.inbox:
            name, value = self.inbox.popleft()
            system.lines[name] = system.lines.get(name, 0) + value
        self.waiting = True


class System:
    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = {job.name: job for job in jobs}
        self.lines: dict[str, int] = {}

    def post(self, to: str, origin: str, value: int) -> None:
        job = self.jobs[to]
        job.inbox.append((origin, value))
        job.waiting = False

    def run(self) -> None:
        order = sorted(self.jobs.values(), key=lambda job: (-job.priority, job.name))
        while any(not job.done() and isinstance(job, Sender) for job in order):
            for job in order:
                if not job.done() and not job.waiting:
                    job.step(self)


def run_scheduler() -> int:
    """Method calls on subclasses, small objects, queues and dictionaries."""
    jobs: list[Job] = [Sender(f"sender{i}", i, 8000) for i in range(3)]
    jobs += [Worker(f"worker{i}", 5, 1) for i in range(5)]
    system = System([*jobs, Log("log", 9, 1)])
    system.run()
    return sum(system.lines.values())


class Vector:
    def __init__(self, x: float, y: float, z: float) -> None:
        self.x, self.y, self.z = x, y, z

    def __add__(self, other: Vector) -> Vector:
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other: Vector) -> Vector:
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def __mul__(self, factor: float) -> Vector:
        return Vector(self.x * factor, self.y * factor, self.z * factor)

    def dot(self, other: Vector) -> float:
        return self.x * other.x + self.y * other.y + self.z * other.z

    @property
    def unit(self) -> Vector:
        return self * (1.0 / max(self.dot(self) ** 0.5, 1e-9))


class Sphere:
    def __init__(self, centre: Vector, radius: float) -> None:
        self.centre = centre
        self.radius = radius

    def hit(self, origin: Vector, direction: Vector) -> float | None:
        to_centre = self.centre - origin
        along = to_centre.dot(direction)
        inside = self.radius**2 - to_centre.dot(to_centre) + along * along
        return None if inside < 0 else along - inside**0.5


def run_ray_tracer() -> float:
    """Operators on objects, properties, many short-lived instances."""
    scene = [Sphere(Vector(i - 2.0, (i % 3) - 1.0, 4.0 + i), 0.9) for i in range(5)]
    light, eye = Vector(-1.0, 1.0, -1.0).unit, Vector(0.0, 0.0, -1.0)
    total = 0.0
    for y in range(56):
        for x in range(56):
            direction = (Vector(x / 28 - 1, y / 28 - 1, 1.0) - eye).unit
            hits = [(distance, ball) for ball in scene if (distance := ball.hit(eye, direction)) is not None]
            if hits:
                distance, ball = min(hits, key=lambda hit: hit[0])
                point = eye + direction * distance
                total += max(0.0, (point - ball.centre).unit.dot(light))
    return total


def run_life() -> int:
    """Sets of tuples, set comprehensions."""
    alive = {(x, y) for x in range(40) for y in range(40) if (x * 7 + y * 13) % 5 < 2}
    for _ in range(22):
        near: dict[tuple[int, int], int] = {}
        for x, y in alive:
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    if dx or dy:
                        cell = (x + dx, y + dy)
                        near[cell] = near.get(cell, 0) + 1
        alive = {cell for cell, count in near.items() if count == 3 or (count == 2 and cell in alive)}
    return len(alive)


def run_queens() -> int:
    """Recursive generators."""

    def place(row: int, columns: tuple[int, ...]) -> Any:
        if row == 8:
            yield columns
            return
        for column in range(8):
            if all(column != c and abs(column - c) != row - r for r, c in enumerate(columns)):
                yield from place(row + 1, (*columns, column))

    return sum(1 for _ in place(0, ())) + sum(c[0] for c in place(0, ()))


def run_flips() -> int:
    """Lists: slices, reversal, index assignment."""
    best = 0
    for permutation in itertools.permutations(range(8)):
        cards = list(permutation)
        flips = 0
        while (first := cards[0]) != 0:
            cards[: first + 1] = cards[first::-1]
            flips += 1
        if flips > best:
            best = flips
    return best


def run_mandelbrot() -> int:
    """Complex numbers, loops with few calls."""
    inside = 0
    for row in range(70):
        for column in range(70):
            c = complex(column / 28 - 2.0, row / 35 - 1.0)
            z = 0j
            for _ in range(50):
                z = z * z + c
                if z.real * z.real + z.imag * z.imag > 4:
                    break
            else:
                inside += 1
    return inside


def run_shortest_paths() -> int:
    """A heap of tuples, dictionaries keyed by tuples."""
    width = 70
    cost = {(x, y): 1 + (x * 31 + y * 17) % 9 for x in range(width) for y in range(width)}
    best = {(0, 0): 0}
    heap = [(0, (0, 0))]
    while heap:
        so_far, (x, y) = heapq.heappop(heap)
        if so_far > best[x, y]:
            continue
        for step in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            if step in cost and (total := so_far + cost[step]) < best.get(step, 1 << 30):
                best[step] = total
                heapq.heappush(heap, (total, step))
    return best[width - 1, width - 1]


def run_pi_digits() -> str:
    """Integers of hundreds of digits."""
    digits = []
    q, r, t, k, n, m = 1, 0, 1, 1, 3, 3
    while len(digits) < 600:
        if 4 * q + r - t < n * t:
            digits.append(str(n))
            q, r, n = 10 * q, 10 * (r - n * t), (10 * (3 * q + r)) // t - 10 * n
        else:
            q, r, t, k, n, m = q * k, (2 * q + r) * m, t * m, k + 1, (q * (7 * k + 2) + r * m) // (t * m), m + 2
    return "".join(digits)


def run_sieve() -> int:
    """Small integers, slices of a bytearray, comprehensions."""
    total = 0
    for _ in range(6):
        size = 60000
        flags = bytearray([1]) * size
        for i in range(2, int(size**0.5) + 1):
            if flags[i]:
                flags[i * i :: i] = bytes(len(range(i * i, size, i)))
        primes = [i for i in range(2, size) if flags[i]]
        total += sum(p % 7 for p in primes) + len({p % 1000 for p in primes})
    return total


def run_calls() -> int:
    """Every way to call: positional, keyword, defaults, star arguments, closures, partial, bound and class methods."""

    def positional(a: int, b: int, c: int = 3) -> int:
        return a + b - c

    def collecting(*values: int, scale: int = 1, **options: int) -> int:
        return scale * (sum(values) + len(options))

    def adder(amount: int) -> Any:
        count = 0

        def add(value: int) -> int:
            nonlocal count
            count += 1
            return value + amount + count

        return add

    class Counter:
        kept = 0

        def __init__(self) -> None:
            self.value = 0

        def up(self, by: int = 1) -> int:
            self.value += by
            return self.value

        @classmethod
        def keep(cls, value: int) -> int:
            cls.kept = (cls.kept + value) & 0xFFFF
            return cls.kept

        @staticmethod
        def half(value: int) -> int:
            return value >> 1

        def __call__(self, value: int) -> int:
            return self.value ^ value

        def __getattr__(self, name: str) -> int:
            return len(name)

    counter, add, third = Counter(), adder(5), functools.partial(positional, 1, c=2)
    options = {"left": 1, "right": 2}
    total = 0
    for i in range(25000):
        total += positional(i, 2) + positional(b=1, a=i) + collecting(i, 1, scale=2) + collecting(*(1, i), **options)
        total += add(i) + third(i) + counter.up() + counter.keep(i) + Counter.half(i) + counter(i) + counter.missing
        total = (lambda value: value & 0xFFFFFFF)(total)
    return total
