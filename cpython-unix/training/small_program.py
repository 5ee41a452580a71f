"""Training: a command-line tool of the usual kind, which starts, imports, does a little and ends."""

from __future__ import annotations

import argparse
import collections
import json
import logging
import re
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description="Counts the words of a file.")
    parser.add_argument("--top", type=int, default=5, help="how many to show")
    options = parser.parse_args()
    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
    words = collections.Counter(re.findall(r"[a-z]+", Path(__file__).read_text(encoding="utf-8").lower()))
    print(json.dumps(dict(words.most_common(options.top)), indent=2))
    logging.getLogger(__name__).warning("%d words in all", words.total())
    return 0


if __name__ == "__main__":
    sys.exit(main())
