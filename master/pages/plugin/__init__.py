"""The farm's pages as a plugin of Buildbot's page: a menu, and routes that show what `/pages` answers.

Buildbot finds plugins by the entry points of distributions. Nothing of pymint is installed, so the one that names this
package lies in `master/pages/entry`, which master/service.tac puts on the path.
"""

from buildbot.www.plugin import Application

ep = Application(__name__, "The farm's own pages")
