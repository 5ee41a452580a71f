"""The FIPS module's MAC and its configuration: pure functions on bytes and text.

The module's MAC is HMAC-SHA256 over the whole file under a key that OpenSSL publishes; it finds damage, it is no
signature. `fipsmodule.cnf` is what OpenSSL's own build writes about one module: the MAC and the checks that are on.
`openssl-fips.cnf` is ours: self-contained, so that it works wherever the tree is moved to.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from workers.errors import Failure

# OpenSSL's Configure, $config{FIPSKEY}; the same since 3.0.
_KEY = bytes.fromhex("f4556650ac31d35461610bac4ed81b1a181b2d8a43ea2854cbae22ca74560813")

SECTION = "fips_sect"
# A record that the self-tests ran on *that* machine: not to be copied to another one (README-FIPS of OpenSSL).
_NOT_TO_BE_COPIED = ("install-status", "install-mac")

# What a module can be told to check, as OpenSSL 3.5 names it in fips_config(5). Nearly all are off if nothing is said.
# fips_setup, which archives have and which has nothing of ours to import, keeps the same; a test compares them.
_CHECKS = (
    "security-checks", "signature-digest-check", "tls1-prf-ems-check", "no-short-mac", "drbg-no-trunc-md",
    "dsa-sign-disabled", "tdes-encrypt-disabled", "rsa-pkcs15-pad-disabled", "rsa-pss-saltlen-check",
    "rsa-sign-x931-pad-disabled", "pbkdf2-lower-bound-check", "ecdh-cofactor-check", "hmac-key-check", "kmac-key-check",
    *(f"{kdf}-digest-check" for kdf in ("hkdf", "tls13-kdf", "tls1-prf", "sshkdf", "sskdf", "x963kdf")),
    *(f"{kdf}-key-check" for kdf in ("hkdf", "kbkdf", "tls13-kdf", "tls1-prf", "sshkdf", "sskdf", "x963kdf")),
    "x942kdf-key-check",
)  # fmt: skip
# A check that came with 3.4. From then on OpenSSL's build turns on all that there are.
_ALL_ON_SINCE = "hmac-key-check"

# `default` rather than `base` beside fips: with base alone, hashlib before 3.14 prints tracebacks for the algorithms
# that are not there and `usedforsecurity=False` has nobody to serve it. What decides is `default_properties`.
# Without the `openssl_conf` line OpenSSL accepts the file and ignores it; without `config_diagnostics`, its errors.
_ACTIVATION = """\
config_diagnostics = 1
openssl_conf = openssl_init

[openssl_init]
providers = provider_sect
alg_section = algorithm_sect

[provider_sect]
fips = fips_sect
default = default_sect

[default_sect]
activate = 1

[algorithm_sect]
default_properties = fips=yes

"""


def module_mac(module: bytes) -> str:
    """The MAC of a FIPS module's bytes as OpenSSL writes it: pairs of capital hex digits, separated by colons."""
    return hmac.new(_KEY, module, hashlib.sha256).digest().hex(":").upper()


def checks_of(module: bytes) -> frozenset[str]:
    """The checks that a module knows, whose names are in its bytes: its own build left every one of them on.

    None of a module from before 3.4, whose build may leave some off.
    """
    known = frozenset(name for name in _CHECKS if f"{name}\0".encode() in module)
    return known if _ALL_ON_SINCE in known else frozenset()


def parse_fipsmodule(text: str) -> dict[str, str]:
    """The settings of a `fipsmodule.cnf`, in their order. Raises Failure when it is not one that can be shipped.

    Taken is only what OpenSSL's build writes: the one section `fips_sect` of plain `name = value` lines, with a MAC.
    """
    settings: dict[str, str] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.partition("#")[0].strip()
        if not stripped:
            continue
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped[1:-1].strip()
            if section != SECTION:
                raise _refused(f"line {number}: [{section}]", f"only the section [{SECTION}]")
            continue
        name, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals or not name or not section:
            raise _refused(f"line {number}: {line.strip()}", f"a line `name = value` in [{SECTION}]")
        if name.startswith(".") or "$" in value:
            raise _refused(f"line {number}: {line.strip()}", "nothing that depends on other files or the environment")
        if name in settings:
            raise _refused(f"{name} twice", "each setting once")
        settings[name] = value
    _check_settings(settings)
    return settings


def _check_settings(settings: Mapping[str, str]) -> None:
    if "module-mac" not in settings:
        raise _refused("no module-mac", "the MAC of the module")
    for name in _NOT_TO_BE_COPIED:
        if name in settings:
            raise _refused(name, "a config without a record of self-tests run on one machine")
    if "module" in settings:
        raise _refused(f"module = {settings['module']}", "no path: the module is found beside the config")
    if settings.get("activate") != "1":
        raise _refused(f"activate = {settings.get('activate', 'nothing')}", "activate = 1")


def self_contained(fipsmodule_cnf: str) -> str:
    """`openssl-fips.cnf`: turns FIPS mode on for the module that `fipsmodule_cnf` describes.

    Raises Failure when that file is not one that can be shipped.
    """
    settings = parse_fipsmodule(fipsmodule_cnf)
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    return f"{_ACTIVATION}[{SECTION}]\n{''.join(lines)}"


def check_mac(module: bytes, fipsmodule_cnf: str) -> None:
    """Raises Failure when a module is not the one that its config was written for."""
    wanted, found = parse_fipsmodule(fipsmodule_cnf)["module-mac"], module_mac(module)
    if not hmac.compare_digest(wanted.upper().replace(":", ""), found.replace(":", "")):
        raise Failure(
            "fips",
            "the FIPS module's MAC does not match its config",
            wanted=wanted,
            found=found,
            todo="Something changed the module after its MAC was made: a strip, a signature, an rpath, a bad copy.\n"
            "Pack the module as its build left it.",
        )


def _refused(found: str, wanted: str) -> Failure:
    return Failure(
        "fips",
        "this fipsmodule.cnf can't be shipped",
        wanted=wanted,
        found=found,
        todo="See the log of the node fips-provider: OpenSSL's own build writes a file that can.",
    )
