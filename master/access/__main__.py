"""`python -m master.access NAME` asks for a password and prints the lines for `[login.users]` of settings.toml."""

import getpass
import json
import sys

from master.access.passwords import hash_of


def main(arguments: list[str]) -> int:
    """1 where there is no name, or no password."""
    if len(arguments) != 1:
        print("usage: python -m master.access NAME", file=sys.stderr)
        return 1
    word = getpass.getpass()
    if not word:
        print("access: an empty password is none; nothing was printed", file=sys.stderr)
        return 1
    # Quoted: a dot would begin a table, and a space would end the key.
    print(f"[login.users]\n{json.dumps(arguments[0], ensure_ascii=False)} = {json.dumps(hash_of(word))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
