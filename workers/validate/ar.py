"""`ar` archives, static libraries and Debian packages, read member by member: `!<arch>` in the GNU and the BSD form."""

from __future__ import annotations

from collections.abc import Iterator

AR_MAGIC = b"!<arch>\n"
_HEADER = 60
_SYMBOL_TABLES = ("/", "//", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED", "__.SYMDEF_64")


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Each member's name and content, symbol tables left out. Raises ValueError for what is cut off or no archive."""
    if not data.startswith(AR_MAGIC):
        raise ValueError("does not begin like a static library")
    long_names = b""
    position = len(AR_MAGIC)
    while position < len(data):
        header = data[position : position + _HEADER]
        if len(header) < _HEADER or header[58:60] != b"`\n":
            raise ValueError(f"no member header at byte {position}")
        name = header[:16].decode("utf-8", "replace").rstrip()
        if not header[48:58].rstrip().isdigit():  # int() takes a sign, too: a size below 0 leads back
            raise ValueError(f"member {name} has the size {header[48:58]!r}")
        size = int(header[48:58])
        start = position + _HEADER
        content = data[start : start + size]
        if len(content) < size:
            raise ValueError(f"member {name} is cut off")
        position = start + size + size % 2
        if name == "//":
            long_names = content
        elif name.startswith("#1/"):  # BSD: the name is the first bytes of the content
            length = int(name[3:])
            name, content = content[:length].rstrip(b"\0").decode("utf-8", "replace"), content[length:]
        elif name.startswith("/") and name[1:].isdigit():
            begin = int(name[1:])
            name = long_names[begin : long_names.index(b"\n", begin)].decode("utf-8", "replace").rstrip("/")
        elif name not in _SYMBOL_TABLES:
            name = name.rstrip("/")
        if name not in _SYMBOL_TABLES:
            yield name, content
