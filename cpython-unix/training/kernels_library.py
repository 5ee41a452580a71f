"""Training kernels: the parts of the standard library that programs lean on."""

from __future__ import annotations

import argparse
import array
import base64
import bisect
import copy
import csv
import dataclasses
import datetime
import decimal
import difflib
import enum
import fractions
import functools
import hashlib
import importlib
import io
import logging
import pickle
import random
import sqlite3
import statistics
import string
import struct
import sys
import typing
import xml.etree.ElementTree as ElementTree
import zlib
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque, namedtuple


class Colour(enum.Enum):
    RED = 1
    GREEN = 2
    BLUE = 3


class Access(enum.IntFlag):
    READ = 4
    WRITE = 2
    RUN = 1


Point = namedtuple("Point", "x y")


@dataclasses.dataclass(order=True)
class Part:
    weight: int
    name: str
    colour: Colour = Colour.RED
    tags: list[str] = dataclasses.field(default_factory=list)


class Reading(typing.NamedTuple):
    when: int
    value: float


def run_records() -> int:
    """Data classes, named tuples, enumerations, descriptors, cached functions."""

    class Metres:
        def __set_name__(self, owner: type, name: str) -> None:
            self.key = f"_{name}"

        def __get__(self, instance: object, owner: type) -> int:
            return getattr(instance, self.key, 0)

        def __set__(self, instance: object, value: int) -> None:
            setattr(instance, self.key, max(0, value))

    class Beam:
        length = Metres()

    @functools.lru_cache(maxsize=64)
    def ways(n: int) -> int:
        return n if n < 2 else ways(n - 1) + ways(n - 2)

    total, beam = 0, Beam()
    for i in range(5000):
        part = Part(i % 17, f"p{i}", Colour(i % 3 + 1))
        other = dataclasses.replace(part, weight=3)
        point = Point(i, y=2)._replace(x=4)
        beam.length = i - 5
        total += (part < other) + (part == other) + point.x + point[1] + beam.length + ways(i % 40)
        total += (Access.READ | Access(i % 8)).value + (part.colour is Colour.GREEN) + int(Reading(i, 2.0).value)
    return total + len(dataclasses.asdict(part)) + len(repr(part))


def run_collections() -> int:
    """Counter, deque, defaultdict, OrderedDict, ChainMap, bisect."""
    total = 0
    for turn in range(8):
        values = [random.randrange(500) for _ in range(4000)]
        counter = Counter(values)
        total += sum(count for _, count in counter.most_common(10)) + len(counter + Counter(values[:50]))
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for value in values:
            groups[value % 23].append(value)
        window: deque[int] = deque(maxlen=16)
        for value in values:
            window.append(value)
            total += window[0]
        ordered = OrderedDict.fromkeys(values)
        for value in values[:300]:
            ordered.move_to_end(value)
        chain = ChainMap({"turn": turn}, {"size": 3}, dict.fromkeys(values[:10]))
        total += len(groups) + next(iter(ordered)) + chain["turn"] + chain["size"]
        line: list[int] = []
        for value in values[:1500]:
            bisect.insort(line, value)
        total += bisect.bisect(line, 250) + sum(sorted(values, reverse=True)[:5]) + min(values) + max(values)
    return total


def run_pickling() -> int:
    """pickle in two protocols, deep copies."""
    parts = [Part(i, f"p{i}", Colour.BLUE, ["a", "b"]) for i in range(250)]
    thing: dict[str, typing.Any] = {"parts": parts, "at": {i: Point(i, -i) for i in range(200)}}
    total = 0
    for protocol in (2, pickle.HIGHEST_PROTOCOL) * 5:
        packed = pickle.dumps(thing, protocol)
        total += len(packed) + len(pickle.loads(packed)["parts"])
    return total + sum(len(copy.deepcopy(thing)["at"]) for _ in range(3))


def run_binary() -> int:
    """struct, array, bytes, memoryview, base64, checksums, compression, digests."""
    record = struct.Struct("<IHhd8s")
    total = 0
    for _ in range(6):
        buffer = bytearray()
        for i in range(2500):
            buffer += record.pack(i, i & 0xFFFF, -(i % 100), i / 3, b"name%04d" % (i % 10000))
        for fields in record.iter_unpack(buffer):
            total += fields[0] + fields[2]
        view = memoryview(buffer)[64:4096]
        numbers = array.array("i", range(4000))
        numbers.extend(numbers[::3])
        text = base64.b64encode(bytes(view))
        total += sum(view[:200]) + sum(numbers) + len(base64.b64decode(text)) + zlib.crc32(buffer)
        total += view.tobytes().count(b"name")
        total += len(zlib.decompress(zlib.compress(bytes(view), 6))) + int(bytes(view[:8]).hex()[:4], 16)
        total += sum(hashlib.sha256(b"%d" % i).digest()[0] for i in range(400))
        total += int.from_bytes(view[:16], "little") % 97
        total += len(bytes(view).translate(bytes(range(255, -1, -1))).split(b"\x00"))
    return total


def run_numbers() -> float:
    """decimal, fractions, statistics, dates."""
    total = 0.0
    with decimal.localcontext() as context:
        context.prec = 40
        amount = decimal.Decimal("1000.00")
        for i in range(6000):
            amount = (amount * decimal.Decimal("1.0375") / (1 + i % 3)).quantize(decimal.Decimal("0.01"))
            amount = max(amount % 100000, decimal.Decimal(7))
        total += float(amount)
    ratio = fractions.Fraction(0)
    for i in range(1, 250):
        ratio += fractions.Fraction(i, i * i + 1) if i % 2 else -fractions.Fraction(1, i)
    total += float(ratio)
    sample = [random.gauss(10, 3) for _ in range(1500)]
    total += statistics.fmean(sample) + statistics.median(sample) + statistics.pstdev(sample[:200])
    day = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)  # noqa: UP017  (3.10 has no datetime.UTC)
    for i in range(4000):
        day += datetime.timedelta(hours=31, seconds=i)
        total += day.weekday() + len(day.isoformat())
        if i % 8 == 0:
            total += datetime.datetime.fromisoformat(day.isoformat()).year + len(day.strftime("%Y-%m-%d %H:%M"))
    return total


def run_documents() -> int:
    """XML, CSV, difflib, string.Template."""
    root = ElementTree.Element("catalogue")
    for i in range(400):
        item = ElementTree.SubElement(root, "item", id=str(i), kind="ab"[i % 2])
        ElementTree.SubElement(item, "name").text = f"näme & {i}"
    total = 0
    for _ in range(6):
        text = ElementTree.tostring(root, encoding="unicode")
        again = ElementTree.fromstring(text)
        total += len(again.findall("./item[@kind='a']/name")) + sum(len(node.attrib) for node in again.iter())
        total += sum(1 for _ in ElementTree.parse(io.BytesIO(text.encode())).getroot().itertext())
        total += sum(len(node.tag) for _, node in ElementTree.iterparse(io.StringIO(text), events=("start", "end")))
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerows([i, f"a,{i}", f'q"{i}', i * 0.5] for i in range(900))
        total += sum(len(row) for row in csv.reader(io.StringIO(table.getvalue())))
        total += sum(len(row["b"]) for row in csv.DictReader(io.StringIO("a,b\n" + "1,2\n" * 400)))
    before = [f"line {i % 40} of {i}" for i in range(220)]
    after = [line.replace("3", "three") for line in before if "7" not in line]
    total += len(list(difflib.unified_diff(before, after)))
    template = string.Template("$who owes ${amount} to $$ $who")
    return total + sum(len(template.substitute(who="x", amount=i)) for i in range(1500))


def run_database() -> int:
    """sqlite3 in memory: inserts, a join, an aggregate, a function in Python."""
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    database.create_function("twice", 1, lambda value: value * 2)
    database.executescript("create table a(id integer primary key, n text, v real)")
    database.executescript("create table b(a int, t text)")
    database.executemany("insert into a values(?, ?, ?)", [(i, f"n{i}", i / 2) for i in range(3000)])
    database.executemany("insert into b values(:a, :t)", [{"a": i % 3000, "t": "xyz"[i % 3]} for i in range(5000)])
    total = 0
    for row in database.execute("select a.n as n, twice(a.v) as v, b.t from a join b on b.a = a.id order by a.id"):
        total += len(row["n"]) + int(row["v"])
    total += sum(row[1] for row in database.execute("select t, count(*) from b group by t"))
    database.close()
    return total


def run_command_line() -> int:
    """argparse and logging, as each command-line program starts."""
    total = 0
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    log = logging.getLogger("training")
    log.propagate = False
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    for i in range(60):
        parser = argparse.ArgumentParser(prog="tool", description="A tool.")
        parser.add_argument("files", nargs="*")
        parser.add_argument("-v", "--verbose", action="count", default=0)
        parser.add_argument("--level", type=int, choices=range(10), default=3)
        commands = parser.add_mutually_exclusive_group()
        commands.add_argument("--fast", action="store_true")
        commands.add_argument("--slow", action="store_true")
        options = parser.parse_args(["-vv", "--level", "4", "--fast", *map(str, range(i % 7))])
        total += options.verbose + len(options.files)
        for n in range(60):
            log.info("number %d of %s", n, options.level)
            log.debug("never seen %r", options)
    log.removeHandler(handler)
    return total + len(stream.getvalue())


def run_imports() -> int:
    """Importing from bytecode: finders, unmarshalling, module bodies full of classes."""
    names = ("argparse", "ast", "dataclasses", "difflib", "inspect", "logging", "pprint", "textwrap", "tokenize")
    kept = {name: sys.modules.get(name) for name in names}
    total = 0
    for _ in range(8):
        for name in names:
            sys.modules.pop(name, None)
        for name in names:
            total += len(vars(importlib.import_module(name)))
    sys.modules.update({name: module for name, module in kept.items() if module is not None})
    return total
