"""Training kernels: strings, bytes, regular expressions, parsing, formatting, compiling."""

from __future__ import annotations

import ast
import io
import json
import re
import textwrap
import tokenize

_STARTS, _MIDDLES, _ENDS = ("ba", "ko", "ti", "Ré"), ("lun", "mar", "s", "xö"), ("a", "et", "ing", "42")
WORDS = [f"{a}{b}{c}" for a in _STARTS for b in _MIDDLES for c in _ENDS]
PROSE = " ".join(WORDS[(i * 37) % len(WORDS)] + (".\n" if i % 11 == 10 else "") for i in range(6000))
SOURCE = '''
import os

LIMIT = {limit}

class Shelf(dict):
    """Books by title."""

    def __init__(self, *books, **more):
        super().__init__(*books, **more)
        self.lent = set()

    def lend(self, title: str, days: int = 14) -> bool:
        if title not in self or title in self.lent:
            return False
        self.lent.add(title)
        return days <= LIMIT and (lambda: True)()

    async def ask(self, peer):
        async with peer as link:
            return [line async for line in link if line and not line.startswith("#")]

def total(shelf, *, start=0):
    try:
        match shelf:
            case {{"name": str(name), **rest}}:
                return start + len(name) + sum(rest.values(), 0)
            case [first, *_]:
                return first
    except (KeyError, ValueError) as error:
        raise RuntimeError(f"bad shelf {{shelf!r:>{{start}}}}") from error
    return {{k: v for k, v in shelf.items() if v}} or None
'''


def run_strings() -> int:
    """split, join, replace, find, strip, case, slices, formatting, encoding."""
    total = 0
    for line in PROSE.splitlines() * 3:
        words = line.strip(". ").split(" ")
        total += len("-".join(reversed(words)).replace("lun", "LUN").upper())
        total += line.find("mar") + line.count("a") + line.startswith("ba") + ("ing" in line)
        row = f"{words[0]:<12}|{len(words):>5d}|{total / 7:.3f}|{line!r:.20}"
        total += len(row) + len("%s %5.2f %x" % (words[-1], total / 3, total))  # noqa: UP031
        total += len("{0}:{name}:{1:,}".format(words[0], total, name=words[-1]))  # noqa: UP032
        total += sum(ord(c) for c in line[::9]) + len(line.encode()) + len(line.encode("utf-16").decode("utf-16"))
        total += len({word.lower().title() for word in words}) + sum(word.isalnum() for word in words)
    return total


def run_word_count() -> int:
    """Dictionaries keyed by strings, sorting with keys."""
    total = 0
    for _ in range(12):
        counts: dict[str, int] = {}
        for word in PROSE.split():
            word = word.rstrip(".")
            counts[word] = counts.get(word, 0) + 1
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        longest = sorted(counts, key=len, reverse=True)
        total += ranked[0][1] + len(longest[0]) + len(dict(ranked[:10]))
    return total


def run_regular_expressions() -> int:
    """Searching, splitting, replacing with functions, a scanner made of named groups."""
    token = re.compile(
        r"(?P<name>[A-Za-z_]\w*)|(?P<number>\d+(?:\.\d+)?)|(?P<space>\s+)|(?P<text>\"[^\"]*\")|(?P<other>.)"
    )
    text = SOURCE.format(limit=99) * 6
    total = 0
    for match in token.finditer(text):
        total += len(match.lastgroup or "") + match.end() - match.start()
    for _ in range(3):
        total += len(re.sub(r"\b(\w)(\w*)\b", lambda m: m[2] + m[1], PROSE))
        total += len(re.split(r"[.\s]+", PROSE)) + len(re.findall(r"(?:ba|ko)\w+?(?=ing|42)", PROSE))
        total += len(re.findall(r"(?i)^.*ti(lun|mar).*$", PROSE, re.MULTILINE))
        for i in range(4000):
            total += bool(re.match(r"(\d{4})-(\d\d)-(\d\d)T?", f"20{i % 90 + 10}-0{i % 9}-1{i % 9}"))
    return total


def run_json() -> int:
    """Both ways, nested, with floats and with text beyond ASCII."""
    document = {
        "items": [
            {
                "id": i,
                "name": WORDS[i % 64],
                "price": i * 1.25,
                "tags": WORDS[i % 9 : i % 9 + 4],
                "on": i % 3 == 0,
                "no": None,
            }
            for i in range(300)
        ]
    }
    total = 0
    for i in range(30):
        text = json.dumps(document)
        total += len(text) + len(json.loads(text)["items"])
        if i % 6 == 0:
            total += len(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))
    return total


class Template:
    """A template engine in the small: compiles text to a Python function."""

    def __init__(self, text: str) -> None:
        lines = ["def render(context):", " out = []", " write = out.append"]
        depth = 1
        for piece in re.split(r"(\{\{.*?\}\}|\{%.*?%\})", text):
            if piece.startswith("{{"):
                lines.append(" " * depth + f"write(str({piece[2:-2].strip()}))")
            elif piece.startswith("{%"):
                word = piece[2:-2].strip()
                if word == "end":
                    depth -= 1
                else:
                    lines.append(" " * depth + word + ":")
                    depth += 1
            elif piece:
                lines.append(" " * depth + f"write({piece!r})")
        lines.append(' return "".join(out)')
        names: dict[str, object] = {}
        exec(compile("\n".join(lines), "<template>", "exec"), names)
        self.render = names["render"]


def run_templates() -> int:
    """compile and exec, then string building in the compiled code."""
    text = '<ul>{% for item in context["items"] %}<li class="{{ item[0] }}">{{ item[1] * 2 }}</li>{% end %}</ul>\n'
    total = 0
    for i in range(40):
        template = Template(text * 3)
        context = {"items": [(word, len(word) + i) for word in WORDS]}
        for _ in range(10):
            total += len(template.render(context))  # type: ignore[operator]
    return total


def run_compiler() -> int:
    """Tokenizing, parsing, compiling, unparsing."""
    total = 0
    for limit in range(24):
        text = SOURCE.format(limit=limit) * 2
        tree = ast.parse(text)
        total += sum(1 for _ in ast.walk(tree)) + len(compile(tree, "<shelf>", "exec").co_code)
        total += len(compile(text, "<shelf>", "exec", optimize=2).co_consts)
        if limit % 6 == 0:
            total += len(ast.unparse(tree)) + sum(1 for _ in tokenize.generate_tokens(io.StringIO(text).readline))
    return total


def run_wrapping() -> int:
    """textwrap, line by line reading of a StringIO."""
    text = textwrap.fill(PROSE[:12000], 60)
    text += textwrap.indent(textwrap.dedent(SOURCE), "  ")
    return sum(len(line.rstrip()) for _ in range(20) for line in io.StringIO(text))
