"""Run by a fresh CPython on its own tree: puts unpacked wheels into site-packages as an installer would.

`install` copies the files and writes a script in bin for each console entry point; `record`, once nothing changes them
any more, writes each RECORD. Two steps: in between relocate.py gives scripts the first line that they end up with.
Nothing is run and nothing fetched; the same wheels give the same bytes. No path in RECORD is absolute.
Needs nothing but the standard library of CPython 3.10 and newer.
"""

from __future__ import annotations

import argparse
import base64
import configparser
import csv
import hashlib
import io
import os
import shutil
import sys
from pathlib import Path

INSTALLER = "pymint"

# The first line is a placeholder, see relocate.py.
_SCRIPT = """#!/install/bin/python{version}
import sys

from {module} import {attribute}

sys.exit({call}())
"""


def dist_info(top: Path) -> Path:
    """The one *.dist-info in a folder of a wheel's files."""
    found = sorted(top.glob("*.dist-info"))
    if len(found) != 1:
        sys.exit(f"wheels: {top} has not one *.dist-info but {len(found)}: it is no unpacked wheel")
    return found[0]


def console_scripts(info: Path) -> dict[str, str]:
    """Name → `module:attribute` of the console entry points."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read(info / "entry_points.txt", encoding="utf-8")
    return dict(parser["console_scripts"]) if parser.has_section("console_scripts") else {}


def script_names(name: str, version: str) -> list[str]:
    """What an installer calls an entry point: pip has a name with the minor version too."""
    return [name, f"pip{version}"] if name == "pip" else [name]


def minor_version() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def install(wheel: Path, site: Path, binaries: Path) -> None:
    """Copies a wheel's files into `site` and writes its scripts into `binaries`."""
    info = dist_info(wheel)
    for path in sorted(wheel.iterdir()):
        if path.name.endswith(".data"):
            sys.exit(f"wheels: {wheel} has {path.name}: files for other places than site-packages are not known here")
        if path.is_dir():
            shutil.copytree(path, site / path.name, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(path, site / path.name)
    (site / info.name / "INSTALLER").write_text(INSTALLER + "\n")
    (site / info.name / "REQUESTED").write_text("")
    version = minor_version()
    for entry, target in sorted(console_scripts(info).items()):
        module, _, attribute = target.partition(":")
        text = _SCRIPT.format(version=version, module=module, attribute=attribute.partition(".")[0], call=attribute)
        for name in script_names(entry, version):
            script = binaries / name
            script.write_text(text, encoding="utf-8", newline="")
            script.chmod(0o755)


def digest(path: Path) -> str:
    """As RECORD has it: sha256, URL-safe base64 without padding."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def record(info: Path, binaries: Path) -> str:
    """The text of a RECORD: a row a file, relative to site-packages, sorted."""
    site, version = info.parent, minor_version()
    rows: dict[str, tuple[str, str]] = {}
    with (info / "RECORD").open(encoding="utf-8", newline="") as stream:
        listed = {row[0] for row in csv.reader(stream) if row}
    listed |= {f"{info.name}/{name}" for name in ("INSTALLER", "REQUESTED")}
    for entry in console_scripts(info):
        listed |= {os.path.relpath(binaries / name, site) for name in script_names(entry, version)}
    for name in sorted(listed - {f"{info.name}/RECORD"}):
        path = site / name
        if not path.is_file():
            sys.exit(f"wheels: RECORD of {info.name} lists {name}, which is not there")
        rows[name] = digest(path), str(path.stat().st_size)
    rows[f"{info.name}/RECORD"] = "", ""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows((name, *rows[name]) for name in sorted(rows))
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=("install", "record"))
    parser.add_argument("site", type=Path, help="site-packages")
    parser.add_argument("binaries", type=Path, help="the tree's bin")
    parser.add_argument("--wheel", type=Path, action="append", default=[], help="A folder of a wheel's files.")
    options = parser.parse_args()
    if options.step == "install":
        for wheel in options.wheel:
            install(wheel, options.site, options.binaries)
        return
    for info in sorted(options.site.glob("*.dist-info")):
        (info / "RECORD").write_text(record(info, options.binaries), encoding="utf-8", newline="")
        print(f"{info.name} is installed")


if __name__ == "__main__":
    main()
