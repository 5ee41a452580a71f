"""`python -m master.access NAME` asks for a password and prints the lines for `[login.users]` of settings.toml."""

import getpass
import sys

from master.access.passwords import hash_of

if __name__ == "__main__":
    print(f"[login.users]\n{sys.argv[1]} = {hash_of(getpass.getpass())!r}")
