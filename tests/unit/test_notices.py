from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from twisted.internet import defer

from master.notices.choice import Notices, complaint
from master.notices.deciding import Deciding, Ended, Notice
from master.notices.sending import Sending
from master.notices.service import Notifying
from master.secrets.places import Keeping
from master.watch.polling import Poller
from master.watch.vitals import Check, Checkup
from tests.integration.farm import free_port

BAD = Ended("cpython-a", 7, 2, "main", "c" * 40, "http://farm/#7", [("openssl", "openssl: make ended with 2")])
NOTICE = Notice("build_failed", "main is broken:\r\nBcc: everyone@example.org", "Ein Überläufer.", "http://farm/#7")


def deciding() -> Deciding:
    return Deciding("main", 900)


def test_a_broken_branch_is_told_once_a_commit() -> None:
    one = deciding()
    notice = one.of_build(BAD)
    assert notice is not None
    assert notice.kind == "build_failed"
    assert notice.subject == "main is broken: cpython-a #7"
    assert "make ended with 2" in notice.text
    assert one.of_build(replace(BAD, builder="cpython-b")) is None
    assert one.of_build(replace(BAD, commit="d" * 40)) is not None


@pytest.mark.parametrize("change", [{"result": 0}, {"result": 5}, {"result": 6}, {"branch": "topic"}])
def test_what_is_no_news_is_not_told(change: dict[str, Any]) -> None:
    assert deciding().of_build(replace(BAD, **change)) is None


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"builder": "release", "dry_run": False, "tag": "20261125", "result": 0}, "released"),
        ({"builder": "release", "dry_run": False, "tag": "20261125"}, "release_failed"),
        ({"builder": "release", "tag": "20261125"}, None),
        ({"builder": "housekeeping"}, "housekeeping_failed"),
        ({"builder": "housekeeping", "result": 0}, None),
        ({"failed": [("attest", "signing: no key")]}, "not_signed"),
    ],
)
def test_releases_housekeeping_and_the_signer(change: dict[str, Any], kind: str | None) -> None:
    notice = deciding().of_build(replace(BAD, **change))
    assert (notice.kind if notice is not None else None) == kind


def test_a_check_is_told_at_its_second_failure_and_when_it_holds_again() -> None:
    one = deciding()
    bad = Checkup(False, 1, [Check("disk", False, "1 GB free", "5 GB free"), Check("queue", True, "")])
    good = Checkup(True, 1, [Check("disk", True, "6 GB free")])
    told = [[notice.subject for notice in one.of_checkup(each, "")] for each in (bad, good, bad, bad, bad, good, good)]
    assert told == [[], [], [], ["The farm is not well: disk"], [], ["The farm is well again: disk"], []]


def test_a_worker_is_lost_after_its_time_and_told_once() -> None:
    one = deciding()
    looks = [(False, 0), (False, 899), (False, 900), (False, 2000), (True, 2001), (False, 2002), (False, 2900)]
    told = [[n.subject for n in one.of_workers({"local": there}, now, "")] for there, now in looks]
    assert told == [[], [], ["The worker local is lost"], [], ["The worker local is back"], [], []]


class Told(Notifying):
    """Its master is given, not found by what it is a part of; sends nothing."""

    master: Any = None

    async def _tell_build(self, build: dict[str, Any]) -> None:
        self.told.append(build["buildid"])

    async def tell(self, notice: Notice) -> None:
        self.told.append(notice.subject)


@pytest.mark.parametrize(("several", "polls", "told"), [(False, False, True), (True, True, True), (True, False, False)])
def test_of_several_masters_one_tells(several: bool, polls: bool, told: bool) -> None:
    made = Told(name="notices")
    made.told = []
    made.chosen, made.page, made.workers = Notices(["a@example.org"], "b@example.org"), "", ["local"]
    made.deciding = Deciding("main", 0)
    poller = object.__new__(Poller)
    poller.active = polls

    async def get(path: Any) -> list[Any]:
        return []

    made.master = SimpleNamespace(
        masterid=1, config=SimpleNamespace(multiMaster=several), change_svc=[poller],
        data=SimpleNamespace(get=get), service_manager=SimpleNamespace(namedServices={}),
    )  # fmt: skip
    for master in (1, 2):
        made._build_ended(None, {"masterid": master, "buildid": 10 + master})
    assert made.told == [11], "each master hears of each build"
    made.told.clear()
    defer.Deferred.fromCoroutine(made._tell_state())
    assert made.told == (["The worker local is lost"] if told else [])


class Sink:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append(message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[tuple[Sink, int]]:
    sink = Sink()
    port = free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port, ready_timeout=120)
    controller.start()
    try:
        yield sink, port
    finally:
        controller.stop()


@contextmanager
def webhook(statuses: list[int]) -> Iterator[tuple[list[tuple[bytes, str]], str]]:
    """Answers with these in turn, and then with 204."""
    heard: list[tuple[bytes, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((body, self.headers.get("X-Pymint-Signature-256", "")))
            self.send_response(statuses.pop(0) if statuses else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield heard, f"http://127.0.0.1:{server.server_address[1]}/hook"
    finally:
        server.shutdown()
        server.server_close()


def test_a_mail_says_it_and_no_word_of_a_build_becomes_a_header(tmp_path: Path) -> None:
    with mail_server() as (sink, port):
        chosen = Notices(["anna@example.org", "otto@example.org"], "mint@example.org", "127.0.0.1", port)
        assert Sending(chosen, Keeping(tmp_path)).send(NOTICE) == []
    (message,) = sink.messages
    assert message["Subject"] == "[pymint] main is broken: Bcc: everyone@example.org"
    assert message["Bcc"] is None
    assert message["To"] == "anna@example.org, otto@example.org"
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().split() == ["Ein", "Überläufer.", "http://farm/#7"]


def test_a_webhook_gets_signed_json_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    pauses: list[float] = []
    with webhook([500, 503]) as (heard, address):
        chosen = Notices(webhook=address, webhook_secret_file="secret")
        assert Sending(chosen, Keeping(tmp_path), sleep=pauses.append).send(NOTICE) == []
    assert pauses == [0.0, 5.0, 60.0]
    body, signature = heard[-1]
    assert signature == "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    said = json.loads(body)
    assert (said["schema"], said["kind"], said["page"]) == ("pymint/notice/1", "build_failed", "http://farm/#7")


def test_what_can_not_be_sent_is_told_without_its_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    with webhook([500] * 3) as (_, address):
        chosen = Notices(["a@b.c"], "m@b.c", "127.0.0.1", 1, webhook=address, webhook_secret_file="secret")
        problems = Sending(chosen, Keeping(tmp_path), sleep=lambda seconds: None).send(NOTICE)
    assert [problem.partition(":")[0] for problem in problems] == ["mail by 127.0.0.1", "webhook"]
    assert "answered 500" in problems[1]
    assert "s3cret" not in "".join(problems)


@pytest.mark.parametrize(
    ("chosen", "key"),
    [
        (Notices(["anna"]), "mail_to"),
        (Notices(["a@b.c"]), "mail_from"),
        (Notices(["a@b.c"], "m@b.c\r\nBcc: x@y.z"), "mail_from"),
        (Notices(smtp_user="u"), "smtp_user"),
        (Notices(smtp_user="u", smtp_password_file="f"), "smtp_tls"),
        (Notices(webhook="ftp://x/"), "webhook"),
        (Notices(worker_minutes=0), "worker_minutes"),
        (Notices(), None),
    ],
)
def test_a_wrong_choice_names_its_key(chosen: Notices, key: str | None) -> None:
    found = complaint(chosen)
    assert (found.key if found is not None else None) == key
