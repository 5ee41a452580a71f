"""The list of the rules for docs/rules.md: `python -m workers.validate.listing > docs/rules.md`."""

from __future__ import annotations

import sys

from workers.validate.judge import ordered
from workers.validate.policy import load_policy, names

_HEAD = """# The rules that an archive has to keep

`./mint validate ARCHIVE` judges any archive by them, without running anything that is in it: `.tar`, `.tar.zst` or
`.tar.gz`, of any flavour ([archives.md](archives.md)), ours, python-build-standalone's or Verkada's. In a build they
come before the upload, and an archive that breaks one is not stored. A rule that finds nothing of its kind (Mach-O
rules on Linux, PYTHON.json's in an `install_only` archive) says that it had nothing to judge.

This list is written by `python -m workers.validate.listing`; the rules are in `workers/validate/rules/`, the figures
and lists that they judge by in `workers/validate/policies/`.
"""
_TITLES = {
    "archive": "The archive",
    "python-json": "PYTHON.json",
    "text": "Texts",
    "relocation": "What a build writes of its place",
    "elf": "ELF files (Linux)",
    "macho": "Mach-O files (macOS)",
    "fips": "The FIPS module",
    "flavour": "The smaller flavours",
    "bytecode": "Compiled files",
    "debug": "Debug symbols",
}


def listing() -> str:
    """The whole of docs/rules.md."""
    parts = [_HEAD]
    for group, title in _TITLES.items():
        parts.append(f"\n## {title}\n\n| rule | why |\n|---|---|\n")
        parts.extend(f"| `{rule.id}` | {rule.why} |\n" for rule in ordered() if rule.group == group)
    parts.append(
        "\n## Policies\n\nWhich rules' figures apply is seen from what is in an archive, or said with `--policy`.\n\n"
        "| policy | for | hardening | FIPS |\n|---|---|---|---|\n"
    )
    for name in names():
        policy = load_policy(name)
        fips = {"off": "not asked for", "module": "module and MAC", "strict": "all rules"}[policy.fips]
        parts.append(f"| `{name}` | {policy.title} | {'yes' if policy.hardened else 'no'} | {fips} |\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(listing())
