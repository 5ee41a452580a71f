"""How the machine's own package sources are read, and what is asked of them."""

from __future__ import annotations

from workers.sources.repositories import as_deb822, derived, parse_deb822, parse_list, suites_for


def test_the_one_line_format_is_read_with_its_options() -> None:
    text = """
# a comment
deb [arch=amd64 signed-by=/k.gpg] http://m/debian bookworm main contrib # more
deb-src http://m/debian bookworm main
rubbish
deb http://m/incomplete
"""
    first, second = parse_list(text)
    assert (first.uris, first.suites, first.components, first.signed_by) == (
        ("http://m/debian",),
        ("bookworm",),
        ("main", "contrib"),
        "/k.gpg",
    )
    assert second.signed_by == ""


def test_the_deb822_format_is_read_with_its_embedded_key_and_without_what_is_disabled() -> None:
    text = """Types: deb
# a comment
URIs: http://m/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDME
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
Enabled: no
URIs: http://m/other
Suites: sid
Components: main
"""
    (entry,) = parse_deb822(text)
    assert entry.suites == ("bookworm", "bookworm-updates")
    assert "mDME" in entry.signed_by
    assert list(parse_deb822(as_deb822([entry], "deb"))) == [entry]


def test_other_suites_come_from_the_machines_own_mirrors_under_its_own_keys() -> None:
    machine = [
        *parse_list("deb [signed-by=/other.gpg] http://vendor/apt stable main"),
        *parse_list("deb [signed-by=/k.gpg] http://m/debian bookworm main"),
        *parse_list("deb [signed-by=/k.gpg] http://s/debian-security bookworm-security main"),
    ]
    main, security = derived(machine[1:], "bookworm", ["trixie", "unstable", "trixie-security"])
    assert (main.uris, main.suites, main.signed_by) == (("http://m/debian",), ("trixie", "unstable"), "/k.gpg")
    assert (security.uris, security.suites) == (("http://s/debian-security",), ("trixie-security",))


def test_a_vendors_repository_is_not_taken_for_the_distributions() -> None:
    vendor = list(parse_list("deb http://vendor/apt stable main\ndeb http://m/debian bookworm main"))
    (main,) = derived(vendor, "bookworm", ["trixie"])
    assert main.uris == ("http://m/debian",)


def test_a_machine_without_its_own_mirror_has_no_repositories() -> None:
    assert derived(list(parse_list("deb http://m/ubuntu noble main")), "bookworm", ["trixie"]) == []


def test_released_suites_bring_their_updates_and_security() -> None:
    assert suites_for(["unstable", "trixie"]) == ["unstable", "trixie", "trixie-updates", "trixie-security"]
