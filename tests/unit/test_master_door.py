from __future__ import annotations

import pytest

from master.access import hash_of, matches
from master.door import admitted, origins_of

LOCAL = origins_of("http://127.0.0.1:8010/", 8010)
PUBLIC = origins_of("https://mint.example/farm/", 8010)


@pytest.mark.parametrize("host", ["127.0.0.1:8010", "localhost:8010", "LOCALHOST:8010", "[::1]:8010"])
def test_this_machine_by_its_own_names_is_admitted(host: str) -> None:
    assert admitted(LOCAL, host, None)
    assert admitted(LOCAL, host, f"http://{host.lower()}")


@pytest.mark.parametrize("host", [None, "", "evil.example:8010", "127.0.0.1", "localhost:8011", "127.0.0.1:8010.evil"])
def test_any_other_name_is_not(host: str | None) -> None:
    assert not admitted(LOCAL, host, None)


@pytest.mark.parametrize("origin", ["null", "", "http://evil.example", "https://localhost:8010", "http://localhost"])
def test_a_request_that_another_page_sent_is_not(origin: str) -> None:
    assert not admitted(LOCAL, "localhost:8010", origin)


def test_a_farm_behind_a_proxy_is_known_by_its_public_name() -> None:
    assert admitted(PUBLIC, "mint.example", "https://mint.example")
    assert not admitted(PUBLIC, "mint.example", "http://mint.example")
    assert admitted(PUBLIC, "127.0.0.1:8010", None)


@pytest.mark.parametrize(
    ("url", "port", "host", "origin"),
    [
        ("http://BUILD01:8010/", 8010, "build01:8010", "http://build01:8010"),
        ("https://Mint.Example/", 8010, "mint.example", "https://mint.example"),
        ("https://mint.example:443/", 8010, "mint.example", "https://mint.example"),
        ("https://mint.example/", 8010, "mint.example:443", "https://mint.example"),
        ("http://127.0.0.1:80/", 80, "127.0.0.1", "http://127.0.0.1"),
        ("http://127.0.0.1:80/", 80, "localhost:80", "http://localhost"),
    ],
)
def test_an_address_is_known_as_browsers_write_it(url: str, port: int, host: str, origin: str) -> None:
    known = origins_of(url, port)
    assert admitted(known, host, origin)
    assert not admitted(known, f"evil.{host}", None)
    assert not admitted(known, host, "http://evil.example")


def test_a_password_is_known_by_its_hash_only() -> None:
    hashed = hash_of("correct horse")
    assert "correct" not in hashed
    assert matches("correct horse", hashed)
    assert not matches("correct horse ", hashed)
    assert hash_of("correct horse") != hashed, "salted"


@pytest.mark.parametrize("wanted", ["", "correct horse", "scrypt:x", "scrypt:!:!", "plain:a:b"])
def test_what_is_no_hash_matches_nothing(wanted: str) -> None:
    assert not matches("correct horse", wanted)
