"""The two configuration files of FIPS mode, read and written. What they say is explained in docs/fips.md of pymint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .places import Refused

SECTION = "fips_sect"
# Notes of another machine, and paths: OpenSSL's README-FIPS has the first not copied, and the tree may be moved.
_NOT_KEPT = ("install-status", "install-mac", "module")

# What a module can be told to check: fips_config(5) of OpenSSL 3.5. Nearly all are off where nothing is said.
CHECKS = (
    "security-checks", "signature-digest-check", "tls1-prf-ems-check", "no-short-mac", "drbg-no-trunc-md",
    "dsa-sign-disabled", "tdes-encrypt-disabled", "rsa-pkcs15-pad-disabled", "rsa-pss-saltlen-check",
    "rsa-sign-x931-pad-disabled", "pbkdf2-lower-bound-check", "ecdh-cofactor-check", "hmac-key-check", "kmac-key-check",
    *(f"{kdf}-digest-check" for kdf in ("hkdf", "tls13-kdf", "tls1-prf", "sshkdf", "sskdf", "x963kdf")),
    *(f"{kdf}-key-check" for kdf in ("hkdf", "kbkdf", "tls13-kdf", "tls1-prf", "sshkdf", "sskdf", "x963kdf")),
    "x942kdf-key-check",
)  # fmt: skip
# It came with 3.4. From then on OpenSSL's build turns on all that there are; before, it may leave some off.
_ALL_ON_SINCE = "hmac-key-check"

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


def settings_of(text: str) -> dict[str, str]:
    """The lines of the section `fips_sect` of either file: name → value, in their order."""
    settings: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        stripped = line.partition("#")[0].strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped[1:-1].strip()
        elif section == SECTION and "=" in stripped:
            name, _, value = stripped.partition("=")
            settings[name.strip()] = value.strip()
    return settings


def checks_of(module: bytes) -> list[str]:
    """The checks that a module knows and that its own build turned on: their names are in its bytes. In their order."""
    known = [name for name in CHECKS if f"{name}\0".encode() in module]
    return known if _ALL_ON_SINCE in known else []


def checks_off(module: bytes, settings: Mapping[str, str]) -> list[str]:
    """The checks that a module knows and that these settings do not turn on."""
    return [name for name in checks_of(module) if settings.get(name) != "1"]


def of_both(files: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The settings of several files as one: what is on in any of them is on, all else is as the first has it."""
    settings: dict[str, str] = {}
    for one in files:
        for name, value in one.items():
            if name not in settings or value == "1":
                settings[name] = value
    return settings


def with_mac(settings: Mapping[str, str], mac: str) -> dict[str, str]:
    """The settings as they are, each check that is on included, for a module with this MAC.

    Raises Refused where there are none: without them OpenSSL would take a module whose checks are off.
    """
    kept = {name: value for name, value in settings.items() if name not in _NOT_KEPT}
    if not any(name.endswith(("-check", "-checks")) for name in kept):
        raise Refused(
            "neither fipsmodule.cnf nor openssl-fips.cnf says which checks the module is to make",
            "Take fipsmodule.cnf out of the archive again, then run install once more.",
        )
    return {**kept, "activate": "1", "module-mac": mac}


def module_config(settings: Mapping[str, str]) -> str:
    """fipsmodule.cnf."""
    return f"[{SECTION}]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


def whole_config(settings: Mapping[str, str]) -> str:
    """openssl-fips.cnf: self-contained, turns FIPS mode on for the module of these settings."""
    return _ACTIVATION + module_config(settings)


def difference(found: str, settings: Mapping[str, str]) -> str | None:
    """What an openssl-fips.cnf has too little or too much, for the module of these settings. None: nothing."""
    wanted, there = _lines(whole_config(settings)), _lines(found)
    if wanted == there:
        return None
    parts = [f"missing: {line}" for line in wanted if line not in there]
    parts += [f"too much: {line}" for line in there if line not in wanted]
    return "; ".join(parts) or "the same lines in another order"


def _lines(text: str) -> list[str]:
    """Without comments, blank lines and the space around `=`."""
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [" = ".join(part.strip() for part in line.split("=", 1)) for line in stripped if line]
