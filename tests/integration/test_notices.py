"""A real master tells a real mail server that the branch is broken."""

from __future__ import annotations

from tests.integration.farm import Farm, cell_name, commit, until
from tests.unit.test_notices import mail_server, webhook


def test_a_broken_commit_reaches_mail_and_webhook_once(own_farm: Farm) -> None:
    with mail_server() as (sink, port), webhook([]) as (heard, address):
        with own_farm.home.settings_file.open("a") as settings:
            settings.write(
                f'[notices]\nmail_to = ["anna@example.org"]\nmail_from = "mint@example.org"\nsmtp_host = "127.0.0.1"\n'
                f'smtp_port = {port}\nwebhook = "{address}"\n'
            )
        broken = commit(own_farm.repository, {"fail": "plan"})
        own_farm.up()
        for cell in (cell_name(), cell_name("3.12")):
            assert own_farm.finished(own_farm.force(cell, revision=broken))["results"] == 2
        until("the notice was sent", lambda: sink.messages and heard)
        good = commit(own_farm.repository, {"fail": "validate"})
        assert own_farm.finished(own_farm.force(revision=good))["results"] == 2
        until("the next commit's, too", lambda: len(sink.messages) > 1 and len(heard) > 1)
    assert len(sink.messages) == 2, "one a commit"
    first = sink.messages[0].as_string()
    assert f"[pymint] main is broken: {cell_name()} #1" in first.replace("\n", "")
    assert broken in first
