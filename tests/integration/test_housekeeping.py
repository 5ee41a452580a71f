"""The nightly housekeeping, by its form: a backup first, then what may go, while the master works."""

from __future__ import annotations

from master.backup.model import Backups
from tests.integration.farm import Farm


def test_the_form_makes_a_backup_and_says_what_was_dropped(own_farm: Farm) -> None:
    with own_farm.home.settings_file.open("a") as settings:
        settings.write('[backup]\ndirectory = "backups"\n[retention]\nbuild_days = 1\n')
    left = own_farm.home.incoming / "999"
    left.mkdir(parents=True)
    own_farm.up("master")
    answer = own_farm.call("forceschedulers/housekeeping-now", "force", builderNames=["housekeeping"])
    assert answer.status_code == 200, answer.text
    (request,) = answer.json()["result"][1].values()
    build = own_farm.finished(request)
    step = own_farm.steps(build)["housekeeping"]
    assert build["results"] == 0, own_farm.step_log(step, "problem")
    assert step["state_string"] == "database: rows of 0 builds, logs of 0 builds dropped"
    log = own_farm.step_log(step, "stdio")
    assert "backup: " in log
    assert "archives: 0 files" in log
    assert len(Backups(own_farm.home.root / "backups").names()) == 1
    assert left.exists(), "younger than a day"
