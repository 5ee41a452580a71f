"""Who may do what on the page. What others need of it to say who may: names and hashes, without Buildbot."""

from master.access.passwords import hash_of, matches
from master.access.table import RELEASE

__all__ = ["RELEASE", "hash_of", "matches"]
