#!/bin/sh
# The one command of pymint: makes .venv when it is missing or out of date, then runs master.cli in it.
# `./mint --help` says what there is. MINT_PYTHON names another Python to make .venv with.
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)

fits() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null </dev/null
}

find_python() {
  if [ -n "${MINT_PYTHON:-}" ]; then
    set -- "$MINT_PYTHON"
  else
    set -- python3.13 python3.12 python3.11 python3
  fi
  for name in "$@"; do
    # Asked by running it: a version manager's shim exists for versions that it then refuses to start.
    if fits "$name"; then
      command -v "$name"
      return
    fi
  done
  return 1
}

# The stamp is the very text that .venv was made from, written last: a .venv without it is half-made.
current() {
  [ -x "$here/.venv/bin/python" ] &&
    { printf '%s\n' "$here" && cat "$here/pyproject.toml" "$here/constraints.txt"; } |
    cmp -s - "$here/.venv/pymint-stamp"
}

if ! current; then
  if ! python=$(find_python); then
    if [ "$(id -u)" = 0 ] && [ -z "${MINT_PYTHON:-}" ] && command -v apt-get >/dev/null; then
      echo "mint: no Python 3.11, 3.12 or 3.13 here: installing python3 and python3-venv with apt-get" >&2
      apt-get -qq update >&2 || true # one broken list of many is no reason to stop; the install says what is missing
      DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends python3 python3-venv >&2 </dev/null || true
    fi
    if ! python=$(find_python); then
      cat >&2 <<END
mint: no fitting Python to make the virtual environment with
  wanted  Python 3.11, 3.12 or 3.13, as ${MINT_PYTHON:-python3.13, python3.12, python3.11 or python3} in PATH
  found   $(python3 --version 2>&1 || echo "no python3")
  On Debian 12 or newer: apt-get install python3 python3-venv
  Or name one that is elsewhere: MINT_PYTHON=/path/to/python3.12 ./mint ...
END
      exit 1
    fi
  fi
  "$python" "$here/master/cli/environment.py" >&2 </dev/null
fi

# In the checkout, so that `-m` finds the rooms without anything being installed; the CLI goes back to where it was
# called, so that relative paths on its command line mean what they say.
MINT_CALLED_FROM=$(pwd -P)
export MINT_CALLED_FROM
cd "$here"
exec "$here/.venv/bin/python" -m master.cli "$@"
