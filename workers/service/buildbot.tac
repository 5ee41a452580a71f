"""A worker: reads worker.toml beside this file, says in info/ where its programs work, and connects to its master.

worker.toml: name, host, port, password_file, python (the virtual environment's), checkout (whose `workers` is looked at
the machine with), state, cache, disk_gb; authority: a directory with the certificate that the master's has to come
from, without it plain text; keepalive in seconds. The master reads what info/ says when the worker connects
(steps/program.py).
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from buildbot_worker.bot import Worker
from twisted.application import service
from twisted.python import log as twisted_log
from twisted.python.log import FileLogObserver, ILogObserver
from twisted.python.logfile import LogFile

basedir = Path(__file__).resolve().parent
options = tomllib.loads((basedir / "worker.toml").read_text())
python = options.get("python", sys.executable)
state = (basedir / options.get("state", "../state")).resolve()
cache = (basedir / options.get("cache", "../cache")).resolve()

info = basedir / "info"
info.mkdir(exist_ok=True)
said = {
    "pymint_python": python,
    "pymint_state": str(state),
    "pymint_cache": str(cache),
    "pymint_checkout": options.get("checkout", ""),
    "host": " ".join(os.uname()),
}
if "checkout" in options:
    # A machine that is not fit connects all the same: the master then says on its page what is wrong with it.
    looked = subprocess.run(
        [python, "-m", "workers", "doctor", f"--state={state}", f"--cache={cache}",
         f"--disk-gb={options.get('disk_gb', 50)}"],
        cwd=options["checkout"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    if looked.stdout.startswith("{"):
        said["pymint_doctor"] = looked.stdout
for name, text in said.items():
    (info / name).write_text(text)

application = service.Application("buildbot-worker")
log = LogFile.fromFullPath(str(basedir / "twistd.log"), rotateLength=10_000_000, maxRotatedFiles=5)
application.setComponent(ILogObserver, FileLogObserver(log).emit)
if "checkout" in options and looked.returncode:
    twisted_log.msg(looked.stderr)


def quoted(value: object) -> str:
    """As a part of Twisted's endpoint strings."""
    return str(value).replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")


where = f"host={quoted(options['host'])}:port={options['port']}"
trusted = f":trustRoots={quoted((basedir / options['authority']).resolve())}" if "authority" in options else ""
Worker(
    None,
    None,
    options["name"],
    (basedir / options["password_file"]).read_text().strip(),
    str(basedir),
    options.get("keepalive", 60),
    umask=None,
    maxdelay=options.get("maxdelay", 10),
    allow_shutdown=None,
    delete_leftover_dirs=True,
    connection_string=f"{'tls' if trusted else 'tcp'}:{where}{trusted}",
).setServiceParent(application)
