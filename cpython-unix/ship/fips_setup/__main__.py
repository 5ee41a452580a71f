"""The command line of fips_setup. Ends with 0 when all is as it should be, 1 when not, 2 for wrong usage."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from dataclasses import asdict

from .actions import disable, enable, install
from .places import Refused, Tree, code_file, in_venv, tree_of
from .status import Status, status

_ACTIONS = {"enable": enable, "disable": disable, "install": install}


def parser() -> argparse.ArgumentParser:
    """The options; `--help` is where they are explained."""
    made = argparse.ArgumentParser(
        prog="python3 -m fips_setup", description="Looks after the FIPS mode of this Python's tree."
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shown = commands.add_parser("status", help="is FIPS mode on, why, and are its files whole? Changes nothing")
    shown.add_argument("--json", action="store_true", help="for programs")
    shown.add_argument("--import", dest="imports", action="append", default=[], metavar="NAME",
                       help="import NAME first, so that a libcrypto that it brings is seen")  # fmt: skip
    shown.add_argument("--installed", action="store_true", help="look at all installed packages, too")
    shown.add_argument("--require", choices=("on", "off"), help="end with 1 when FIPS mode is not so")
    commands.add_parser("enable", help="turn FIPS mode on for every start of this tree's interpreter")
    commands.add_parser("disable", help="turn it off again")
    commands.add_parser(
        "install", help="write the module's configuration anew on this machine: for a module that was signed again"
    )
    return made


def main() -> int:
    options = parser().parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # paths need not be of the letters that a terminal has
    try:
        tree = tree_of(code_file())
        if options.command == "status":
            return show(
                status(tree, options.imports, installed=options.installed),
                as_json=options.json,
                required=options.require,
            )
        _say_where(tree)
        print(_ACTIONS[options.command](tree))
    except Refused as refused:
        print(f"fips_setup: {refused}", file=sys.stderr)
        if refused.todo:
            print(refused.todo, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"fips_setup: {error.filename or 'the system'}: {error.strerror}", file=sys.stderr)
        return 1
    variable = os.environ.get("PYTHON_FIPS", "")
    if options.command == "disable" and variable not in ("", "0"):
        print(f"PYTHON_FIPS={variable} is in this environment and turns it on for what is started from here.")
    return 0


def _say_where(tree: Tree) -> None:
    venv = in_venv()
    if venv is not None:
        print(f"{venv} is a venv: FIPS mode belongs to the tree that it was made from, and so to all its venvs.")
    print(f"tree: {tree.root}")


def show(found: Status, *, as_json: bool, required: str | None) -> int:
    """Prints a status; the exit code."""
    try:
        if as_json:
            print(json.dumps(asdict(found), indent=2))
        else:
            _print(found)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head -1`, `| grep -q`: its reader has seen enough, and the exit code still counts
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if required is not None and found.fips != required:
        print(f"fips_setup: FIPS mode is {found.fips}, not {required}", file=sys.stderr)
        return 1
    return 1 if found.problems else 0


def _print(found: Status) -> None:
    why = f", asked for by {' and '.join(found.asked_by)}" if found.asked_by else ""
    print(f"FIPS mode      {found.fips}{why}")
    print(f"tree           {found.tree}{f' (this is a venv of it: {found.venv})' if found.venv else ''}")
    if found.provider is not None:
        print(f"provider       {found.provider[0]} {found.provider[1]}, {found.provider[3]}")
    print(f"module         {found.module}")
    print(f"its MAC        {'right' if found.mac == 'right' else 'WRONG'}")
    print(f"configuration  {'right' if found.config == 'right' else 'WRONG'}")
    for library in found.libcryptos:
        governed = "this Python's own" if library.governed else "NOT reached by FIPS mode"
        loaded = "" if library.loaded else ", not loaded here"
        print(f"libcrypto      {library.version}, {governed}{loaded}: {library.path}")
    for label, lines in (("PROBLEM", found.problems), ("note", found.notes)):
        for line in lines:
            print(f"{label}: {line}")


if __name__ == "__main__":
    sys.exit(main())
