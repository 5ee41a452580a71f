"""The FIPS module's MAC and the self-contained configuration."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workers.errors import Failure
from workers.fips.config import check_mac, checks_of, module_mac, parse_fipsmodule, self_contained

MODULE = b"the bytes of a module"
CONFIG = f"""[fips_sect]
activate = 1
install-version = 1
conditional-errors = 1
security-checks = 1
module-mac = {module_mac(MODULE)}
tls1-prf-ems-check = 1
"""


def test_the_mac_is_openssls() -> None:
    """The value that `openssl mac -digest SHA256 -macopt hexkey:… HMAC` of OpenSSL 3.0 gives for an empty file."""
    assert module_mac(b"") == (
        "29:A9:9B:D0:22:75:4B:84:08:DB:20:48:07:8E:48:CA:F4:D0:8B:98:D9:59:1A:E1:DD:75:43:83:C1:70:B7:22"
    )


def test_a_module_and_its_config_belong_together() -> None:
    check_mac(MODULE, CONFIG)
    with pytest.raises(Failure, match="MAC does not match"):
        check_mac(MODULE + b"\n", CONFIG)


def test_the_self_contained_config_says_all_that_makes_fips_mode() -> None:
    text = self_contained(CONFIG)
    for line in (
        "config_diagnostics = 1",
        "openssl_conf = openssl_init",
        "fips = fips_sect",
        "default = default_sect",
        "default_properties = fips=yes",
        f"module-mac = {module_mac(MODULE)}",
        "tls1-prf-ems-check = 1",
    ):
        assert line in text.splitlines()


def test_the_self_contained_config_depends_on_no_place() -> None:
    text = self_contained(CONFIG)
    assert ".include" not in text
    assert "$" not in text
    assert "/" not in text
    assert "\nmodule =" not in text


def test_what_stands_before_the_first_section_is_read_by_openssl_as_the_default_one() -> None:
    before = self_contained(CONFIG).partition("[")[0]
    assert "openssl_conf = openssl_init" in before


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda text: text + "install-status = INSTALL_SELF_TEST_KATS_RUN\n", "install-status"),
        (lambda text: text + "install-mac = AA:BB\n", "install-mac"),
        (lambda text: text + "module = /usr/lib/fips.so\n", "module = "),
        (lambda text: text + ".include other.cnf\n", ".include"),
        (lambda text: text + "x = $ENV::HOME\n", "$ENV"),
        (lambda text: text.replace("activate = 1", "activate = 0"), "activate = 0"),
        (lambda text: text.replace("module-mac", "module-max"), "no module-mac"),
        (lambda text: text + "activate = 1\n", "twice"),
        (lambda text: text + "[other]\nx = 1\n", "other"),
        (lambda text: "activate = 1\n" + text, "line 1"),
    ],
)
def test_a_config_that_must_not_be_shipped_is_refused(change: Callable[[str], str], found: str) -> None:
    with pytest.raises(Failure, match="can't be shipped") as caught:
        parse_fipsmodule(change(CONFIG))
    assert found in (caught.value.found or "")


def test_the_checks_that_a_module_knows_are_read_from_its_bytes() -> None:
    assert checks_of(b"\0hmac-key-check\0tls1-prf-ems-check\0key-check\0") == {"hmac-key-check", "tls1-prf-ems-check"}
    assert checks_of(MODULE) == frozenset()


def test_of_a_module_from_before_3_4_nothing_is_said_since_its_own_build_may_leave_some_off() -> None:
    assert checks_of(b"\0security-checks\0tls1-prf-ems-check\0") == frozenset()
