"""`python -m master.retention`: the nightly housekeeping, as a process of its own beside the master (MINT_HOME)."""

from __future__ import annotations

import sys
from pathlib import Path

from master import settings as farm_settings
from master.home import home_of
from master.machine import in_words
from master.retention.housekeeping import back_up, drop, terms_of
from workers.errors import Failure
from workers.model import load_matrix


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Ends with 1 and a Failure on standard error when something is wrong; what was done until then stays done."""
    home = home_of(Path(__file__).resolve().parents[2])
    try:
        settings = farm_settings.load(home, load_matrix())
        back_up(home, settings, say)
        drop(home, settings, say, terms_of(settings), really=True)
    except (Failure, OSError) as error:
        print(in_words("retention", error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
