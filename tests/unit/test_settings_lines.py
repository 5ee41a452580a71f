from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master import settings
from master.settings.lines import line_of, lines_of, paths_of
from master.settings.reading import path_of
from workers.errors import Failure
from workers.model import ROOT, load_matrix

TEXT = '''# [web] port = 1
[web]
"port" = """
port = 2
"""   # ]]
[[workers]]
name = "a"
targets = [
  "x",  # the first
  "y",
]
[[workers]]
name = "b"
targets = ["z"]
[workers.inner]
deep = 1
[login.users]
anna = "x"
"otto.b" = 'y'
login.more = { a = 1, "b c" = [1, { d = 2 }] }
[sign.ing]
x.y."z" = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("web",), 2), (("web", "port"), 3), (("workers", 0, "name"), 7), (("workers", 0, "targets", 0), 9),
        (("workers", 0, "targets", 1), 10), (("workers", 1), 12), (("workers", 1, "name"), 13),
        (("workers", 1, "inner", "deep"), 16), (("login", "users", "anna"), 18), (("login", "users", "otto.b"), 19),
        (("login", "users", "login", "more", "b c", 1, "d"), 20), (("sign", "ing", "x", "y", "z"), 22),
        (("workers", 1, "password_file"), 12), (("nothing", "at all"), None),
    ],
)  # fmt: skip
def test_each_key_has_its_line(path: tuple[str | int, ...], line: int | None) -> None:
    assert line_of(TEXT, path) == line


def test_every_path_of_the_documentation_has_a_line() -> None:
    text = (ROOT / "docs" / "settings.md").read_text().partition("```toml\n")[2].partition("```")[0]
    found = lines_of(text)
    assert set(found) == set(paths_of(tomllib.loads(text)))


# Everything that means something to TOML.
LETTERS = "ab1é🐍 .,=#[]{}\"'\\\n\t"
keys = st.text(LETTERS, min_size=1, max_size=6)
values = st.recursive(
    st.integers() | st.booleans() | st.text(LETTERS, max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def quoted(key: str) -> str:
    return '"' + "".join(f"\\U{ord(one):08x}" if not one.isalnum() or not one.isascii() else one for one in key) + '"'


def written(value: Any, draw: Any) -> str:
    """A value as TOML, in any of the ways that it can be written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        plain = value.isprintable() and not set(value) & set("'\\\"")
        styles = [quoted(value), f'"""\n{quoted(value)[1:-1]}"""']
        styles += [f"'{value}'", f"'''\n{value}'''"] if plain else []
        return str(draw(st.sampled_from(styles)))
    if isinstance(value, list):
        between = str(draw(st.sampled_from([", ", ",\n  # [a] = 1\n  "])))
        return "[" + between.join(written(one, draw) for one in value) + "]"
    return "{" + ", ".join(f"{quoted(key)} = {written(one, draw)}" for key, one in value.items()) + "}"


@st.composite
def documents(draw: Any) -> str:
    lines = []
    for number in range(draw(st.integers(0, 4))):
        head = draw(st.sampled_from(["", f"[t{number}]", f"[t{number}.'in ner']", "[[many]]", "[[many]]\n[many.sub]"]))
        if head or number == 0:
            lines.append(head)
            for key, value in draw(st.dictionaries(keys, values, max_size=3)).items():
                dotted = draw(st.sampled_from(["", "a . b."])) if head else ""
                lines.append(f"{dotted}{quoted('k' + key)} = {written(value, draw)} # = [x]")
    return "\n".join(lines) + "\n"


@given(documents())
def test_every_path_of_any_document_has_a_line_that_names_it(text: str) -> None:
    raw = tomllib.loads(text)
    found = lines_of(text)
    assert set(found) == set(paths_of(raw))
    rows = text.split("\n")
    for path, line in found.items():
        last = path[-1]
        if isinstance(last, str) and last.startswith("k"):
            assert quoted(last) in rows[line - 1]


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[[workers]]\nname = "a"\ntargets = []\n[[workers]]\nname = "a"\ntargets = []\n', ":5: [workers] name: two"),
        ('[[workers]]\nname = "a"\ntargets = []\n[[workers]]\nname = "b"\ntargets = 1\n', ":6: [workers] targets:"),
        ('[[workers]]\nname = "a"\ntargets = []\n[[workers]]\nnome = "b"\n', ":5: [workers] nome: there is no"),
        ('workers = [{ name = "a", targets = [] },\n { name = "a", targets = [] }]\n', ":2: [workers] name: two"),
        ('[push]\ncells = [\n "cpython-3.9",\n]\n', ":2: [push] cells: there is no cell 'cpython-3.9'"),
        ('release.set = "x"\n', ":1: [release] set: there is no set 'x'"),
        ("[login.users]\nanna = 1\n", ":1: [login] users[...]: this value"),
        ('[[workers]]\ntargets = []\n', ":1: [workers]: this value can't be used\n  wanted  Object missing required"),
        ('"web".port = "x"\n', ":1: [web] port: this value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(toml: str, said: str) -> None:
    path = Path("/f.toml")
    with pytest.raises(Failure) as caught:
        settings.check(settings.parse(toml, path), load_matrix(), path, toml)
    assert f"/f.toml{said}" in str(caught.value)


def test_a_path_is_read_as_people_write_it() -> None:
    assert path_of("workers[1].targets[2]") == ["workers", 1, "targets", 2]
    assert path_of("login.users[...]") == ["login", "users"]
    assert path_of("") == []
