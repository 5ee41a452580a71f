"""The first program of a worker that is a container: writes what buildbot.tac reads, and becomes the worker.

The master says in the environment who it is (master/fleet/hands.py): PYMINT_MASTER, PYMINT_PORT, PYMINT_NAME,
PYMINT_PASSWORD, PYMINT_AUTHORITY (a certificate, empty for plain text), PYMINT_DISK_GB. Nothing of it is passed on.
"""

import json
import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
base, state, cache = Path("/pymint/worker"), Path("/pymint/state"), Path("/pymint/cache")

said = {name: os.environ.pop(f"PYMINT_{name.upper()}", "") for name in
        ("master", "port", "name", "password", "authority", "disk_gb")}  # fmt: skip
missing = [name for name in ("master", "port", "name", "password") if not said[name]]
if missing:
    sys.exit(f"container: the master did not say {', '.join(missing)}; this image is started by it (docs/images.md)")
values = {
    "name": said["name"],
    "host": said["master"],
    "port": int(said["port"]),
    "password_file": "password",
    "python": sys.executable,
    "checkout": str(CHECKOUT),
    "state": str(state),
    "cache": str(cache),
    "disk_gb": float(said["disk_gb"] or 50),
}
os.umask(0o077)
for directory in (base, state, cache):
    directory.mkdir(parents=True, exist_ok=True)
if said["authority"]:
    (base / "authority").mkdir(exist_ok=True)
    (base / "authority" / "authority.pem").write_text(said["authority"])
    values["authority"] = "authority"
(base / "password").write_text(said["password"])
(base / "worker.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
(base / "buildbot.tac").write_text((CHECKOUT / "workers" / "service" / "buildbot.tac").read_text())
os.chdir(base)
os.umask(0o022)
os.execv(
    sys.executable,
    [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "--no_save", "--nodaemon", "--pidfile=",
     "--python=buildbot.tac"],
)  # fmt: skip
