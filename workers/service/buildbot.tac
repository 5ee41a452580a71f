"""A worker: reads worker.toml beside this file, says in info/ where its programs work, and connects to its master.

worker.toml: name, host, port, password_file, python (the virtual environment's), state, cache; keepalive in seconds.
masters, instead of host and port: Twisted endpoints ("tcp:host=10.0.0.1:port=9989") of several, any of which will do.
The master reads what info/ says when the worker connects (steps/program.py).
"""

import os
import sys
import tomllib
import zlib
from pathlib import Path

from buildbot_worker.bot import Worker
from twisted.application import service
from twisted.application.internet import ClientService
from twisted.internet import defer, reactor
from twisted.internet.endpoints import clientFromString
from twisted.python import log
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
application.setComponent(ILogObserver, FileLogObserver(log_file).emit)
masters = options.get("masters")
worker = Worker(
    None if masters else options["host"],
    None if masters else options["port"],
    options["name"],
    (basedir / options["password_file"]).read_text().strip(),
    str(basedir),
    options.get("keepalive", 60),
    umask=None,
    maxdelay=options.get("maxdelay", 10),
    allow_shutdown=None,
    delete_leftover_dirs=True,
    connection_string=masters[0] if masters else None,
)
if masters:
    (client,) = [one for one in worker if isinstance(one, ClientService)]
    worker.removeService(client)
    worker.addService(ClientService(AnyMaster(masters, options["name"]), worker.bf))
worker.setServiceParent(application)
