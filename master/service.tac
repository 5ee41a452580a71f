"""The master process: `twistd --python=buildbot.tac`, with the base directory as working directory.

`prepare` (master/instance.py) copies this file there and puts in where the code lies.
"""

import sys
from pathlib import Path

from buildbot.master import BuildMaster
from twisted.application import service
from twisted.python.log import FileLogObserver, ILogObserver
from twisted.python.logfile import LogFile

checkout = Path("@CHECKOUT@")
place = Path(__file__).resolve().parent
basedir = str(place)
configfile = str(checkout / "master" / "master.cfg")
sys.path.insert(0, str(checkout))

from master.cluster.watchdog import watch  # noqa: E402

application = service.Application("buildmaster")
log = LogFile.fromFullPath(str(Path(basedir) / "twistd.log"), rotateLength=10_000_000, maxRotatedFiles=5)
application.setComponent(ILogObserver, FileLogObserver(log).emit)

master = BuildMaster(basedir, configfile, umask=None)
if place.parent.name == "masters":
    # Not by the machine's name: a master that moves is still the same, and takes up what it had begun.
    master.name = f"pymint-{place.name}"
master.setServiceParent(application)
watch(master)
master.log_rotation.rotateLength = 10_000_000
master.log_rotation.maxRotatedFiles = 5
