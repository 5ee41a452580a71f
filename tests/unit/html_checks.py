"""Faults of a page's HTML that people who don't see it, or use no mouse, would meet. A few of axe's rules, by hand."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "input", "hr", "img"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.named: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.tables: list[dict[str, int]] = []
        self.links: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if said.get("id"):
            self.ids.append(str(said["id"]))
        self.found += [
            f"an inline handler or style: {name}" for name in said if name.startswith("on") or name == "style"
        ]
        if tag in ("script", "iframe", "style", "object"):
            self.found.append(f"a {tag}")
        if tag == "label" and said.get("for"):
            self.labelled.add(str(said["for"]))
        if tag in ("input", "select", "textarea"):
            self.named.append((tag, said))
        if tag in ("h1", "h2", "h3"):
            self.headings.append(int(tag[1]))
        if tag == "table":
            self.tables.append({"caption": 0, "th": 0})
        if tag == "caption" and self.tables:
            self.tables[-1]["caption"] += 1
        if tag == "th":
            self.tables[-1]["th"] += 1
            if said.get("scope") not in ("col", "row"):
                self.found.append("a th without scope")
        if tag == "svg" and not (said.get("aria-hidden") or (said.get("role") == "img" and said.get("aria-label"))):
            self.found.append("an svg without a name")
        if tag == "a":
            self.links.append([])
            address = said.get("href") or ""
            if not address or address.lower().startswith(("javascript:", "data:", "//")):
                self.found.append(f"a link to {address!r}")
        if tag in ("section", "div") and said.get("role") == "region" and not said.get("aria-label"):
            self.found.append("a region without a name")

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.found.append(f"</{tag}> closes something else")
        if tag == "a" and not "".join(self.links[-1]).strip():
            self.found.append("a link without a text")

    def handle_data(self, data: str) -> None:
        if "a" in self.open and self.links:
            self.links[-1].append(data)


def faults(html: str, *, whole: bool) -> list[str]:
    """whole: a document of its own, with a language and a title."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    found = [*reader.found, *(f"<{tag}> is not closed" for tag in reader.open)]
    found += [f"the id {one} is there twice" for one in set(reader.ids) if reader.ids.count(one) > 1]
    found += [
        f"a {tag} without a label"
        for tag, said in reader.named
        if said.get("type") != "hidden" and said.get("id") not in reader.labelled and not said.get("aria-label")
    ]
    if reader.headings.count(1) != 1:
        found.append(f"{reader.headings.count(1)} first headings")
    steps = zip(reader.headings, reader.headings[1:], strict=False)
    found += ["a heading's level is left out" for one, after in steps if after > one + 1]
    found += ["a table without caption or headers" for one in reader.tables if one["caption"] != 1 or not one["th"]]
    if html.count("<main") != 1:
        found.append("not one main landmark")
    if whole and ('<html lang="en">' not in html or "<title>" not in html):
        found.append("no language or title")
    return found
