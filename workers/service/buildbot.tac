"""A worker: reads worker.toml beside this file, says in info/ where its programs work, and connects to its master.

worker.toml: name, host, port, password_file, python (the virtual environment's), state, cache; keepalive in seconds.
The master reads what info/ says when the worker connects (steps/program.py).
"""

import os
import sys
import tomllib
from pathlib import Path

from buildbot_worker.bot import Worker
from twisted.application import service
from twisted.python.log import FileLogObserver, ILogObserver
from twisted.python.logfile import LogFile

basedir = Path(__file__).resolve().parent
options = tomllib.loads((basedir / "worker.toml").read_text())

info = basedir / "info"
info.mkdir(exist_ok=True)
said = {
    "pymint_python": options.get("python", sys.executable),
    "pymint_state": str((basedir / options.get("state", "../state")).resolve()),
    "pymint_cache": str((basedir / options.get("cache", "../cache")).resolve()),
    "host": " ".join(os.uname()),
}
for name, text in said.items():
    (info / name).write_text(text)

application = service.Application("buildbot-worker")
log = LogFile.fromFullPath(str(basedir / "twistd.log"), rotateLength=10_000_000, maxRotatedFiles=5)
application.setComponent(ILogObserver, FileLogObserver(log).emit)
Worker(
    options["host"],
    options["port"],
    options["name"],
    (basedir / options["password_file"]).read_text().strip(),
    str(basedir),
    options.get("keepalive", 60),
    umask=None,
    maxdelay=options.get("maxdelay", 10),
    allow_shutdown=None,
    delete_leftover_dirs=True,
).setServiceParent(application)
