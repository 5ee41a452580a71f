"""The master process: `twistd --python=buildbot.tac`, with the base directory as working directory.

`prepare` (master/instance.py) copies this file there and puts in where the code lies.
"""

import sys
from pathlib import Path

from buildbot.master import BuildMaster
from twisted.application import service
from twisted.python.log import ILogObserver
from twisted.python.logfile import LogFile

checkout = Path("@CHECKOUT@")
place = Path(__file__).resolve().parent
basedir = str(place)
configfile = str(checkout / "master" / "master.cfg")
sys.path.insert(0, str(checkout))
# Where Buildbot finds the entry point of the farm's own pages (master/pages/plugin).
sys.path.append(str(checkout / "master" / "pages" / "entry"))

from master import settings  # noqa: E402
from master.cluster.watchdog import await_router, watch  # noqa: E402
from master.home import home_of_master  # noqa: E402
from master.logs.observing import observer_of  # noqa: E402
from workers.model import load_matrix  # noqa: E402

home = home_of_master(place, checkout)
application = service.Application("buildmaster")
log = LogFile.fromFullPath(str(Path(basedir) / "twistd.log"), rotateLength=10_000_000, maxRotatedFiles=5)
application.setComponent(ILogObserver, observer_of(home, log))

from master.watch.watchdog import of_master  # noqa: E402  (found by the path that was just set)

master = BuildMaster(basedir, configfile, umask=None)
if home.name is not None:
    await_router(settings.load(home, load_matrix()).cluster.router)
    # Not by the machine's name: a master that moves is still the same, and takes up what it had begun.
    master.name = f"pymint-{home.name}"
master.setServiceParent(application)
watch(master)
# Beside the master and not below it, since it is there for a master whose own services stopped.
of_master(master).setServiceParent(application)
master.log_rotation.rotateLength = 10_000_000
master.log_rotation.maxRotatedFiles = 5
