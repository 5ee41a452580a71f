"""A worker: reads worker.toml beside this file, says in info/ where its programs work, and connects to its master.

worker.toml: name, host, port, password_file, python (the virtual environment's), checkout (whose `workers` is looked at
the machine with), state, cache, disk_gb; authority: a directory with the certificate that the master's has to come
from, without it plain text; keepalive in seconds; logs: "json" for a log of an object a line. masters, instead of host and port: Twisted endpoints
("tcp:host=10.0.0.1:port=9989") of several, any of which will do. The master reads what info/ says when the worker
connects (steps/program.py).
"""

import os
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path

from buildbot_worker.bot import Worker
from twisted.application import service
from twisted.application.internet import ClientService
from twisted.internet import defer, reactor
from twisted.internet.endpoints import clientFromString
from twisted.logger import FileLogObserver as LineObserver
from twisted.logger import eventAsText
from twisted.python import log
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



class AnyMaster:
    """An endpoint that is one of several: each time the next, and those that do not answer are passed over.

    Workers begin at different ones, by their names. Which one has a worker matters to nobody: masters share all else.
    """

    def __init__(self, strings, name):
        self.endpoints = [clientFromString(reactor, one) for one in strings]
        self.at = zlib.crc32(name.encode()) % len(self.endpoints)

    @defer.inlineCallbacks
    def connect(self, factory):
        for left in reversed(range(len(self.endpoints))):
            endpoint = self.endpoints[self.at]
            self.at = (self.at + 1) % len(self.endpoints)
            try:
                connected = yield endpoint.connect(factory)
            except Exception as error:
                log.msg(f"no master there: {error}")
                if not left:
                    raise
            else:
                return connected


application = service.Application("buildbot-worker")
log_file = LogFile.fromFullPath(str(basedir / "twistd.log"), rotateLength=10_000_000, maxRotatedFiles=5)
if options.get("logs") == "json" and "checkout" in options:
    sys.path.insert(0, options["checkout"])
    from workers.logs import json_line

    def line_of(event):
        text = eventAsText(event, includeTraceback=False, includeTimestamp=False, includeSystem=False)
        return json_line(event, text.strip(), {"worker": options["name"]})

    application.setComponent(ILogObserver, LineObserver(log_file, line_of))
else:
    application.setComponent(ILogObserver, FileLogObserver(log_file).emit)
if "checkout" in options and looked.returncode:
    log.msg(looked.stderr)


def quoted(value: object) -> str:
    """As a part of Twisted's endpoint strings."""
    return str(value).replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")


trusted = f":trustRoots={quoted((basedir / options['authority']).resolve())}" if "authority" in options else ""
plain = options.get("masters") or [f"tcp:host={quoted(options['host'])}:port={options['port']}"]
masters = [f"tls{one.removeprefix('tcp')}{trusted}" if trusted else one for one in plain]
worker = Worker(
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
    connection_string=masters[0],
)
if len(masters) > 1:
    (client,) = [one for one in worker if isinstance(one, ClientService)]
    worker.removeService(client)
    worker.addService(ClientService(AnyMaster(masters, options["name"]), worker.bf))
worker.setServiceParent(application)
