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
basedir = str(Path(__file__).resolve().parent)
configfile = str(checkout / "master" / "master.cfg")
sys.path.insert(0, str(checkout))
# Where Buildbot finds the entry point of the farm's own pages (master/pages/plugin).
sys.path.append(str(checkout / "master" / "pages" / "entry"))

application = service.Application("buildmaster")
log = LogFile.fromFullPath(str(Path(basedir) / "twistd.log"), rotateLength=10_000_000, maxRotatedFiles=5)
application.setComponent(ILogObserver, FileLogObserver(log).emit)

from master.watch.watchdog import of_master  # noqa: E402  (found by the path that was just set)

master = BuildMaster(basedir, configfile, umask=None)
master.setServiceParent(application)
# Beside the master and not below it, since it is there for a master whose own services stopped.
of_master(master).setServiceParent(application)
master.log_rotation.rotateLength = 10_000_000
master.log_rotation.maxRotatedFiles = 5
