"""What other web pages in the operator's browser can't do, and clients that leave."""

from __future__ import annotations

import socket
import struct
import time

import httpx
import pytest

from master.access import hash_of
from tests.integration.farm import Farm, cell_name, commit

FORCE = {"jsonrpc": "2.0", "id": 1, "method": "force", "params": {"builderNames": [cell_name()], "revision": "zz"}}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_page_can_not_force(farm: Farm, origin: str) -> None:
    answer = farm.http.post("api/v2/forceschedulers/force-cell", json=FORCE, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_the_own_page_can_force(farm: Farm) -> None:
    for host in ("127.0.0.1", "localhost"):
        url = f"http://{host}:{farm.port}"
        answer = httpx.post(f"{url}/api/v2/forceschedulers/force-cell", json=FORCE, headers={"Origin": url})
        assert "40 digits" in answer.json()["error"]["message"]["revision"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_of_another_page_could_send_is_refused(farm: Farm, kind: str) -> None:
    answer = farm.http.post("api/v2/forceschedulers/force-cell", content="{}", headers={"Content-Type": kind})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["", "api/v2/builds", "archives/x/1/", "ws", "config"])
def test_a_foreign_name_for_this_machine_reads_nothing(farm: Farm, path: str) -> None:
    answer = farm.http.get(path, headers={"Host": f"evil.example:{farm.port}"})
    assert answer.status_code == 403
    assert "not one by which" in answer.text


def test_another_page_can_not_open_the_websocket(farm: Farm) -> None:
    headers = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": "https://evil.example",
    }  # fmt: skip
    assert farm.http.get("ws", headers=headers).status_code == 403


def test_no_change_hook_is_open(farm: Farm) -> None:
    before = farm.get("changes")["changes"]
    for dialect in ("base", "github", "poller", ""):
        assert farm.http.post(f"change_hook/{dialect}", data={"comments": "x"}).status_code >= 400
    assert farm.get("changes")["changes"] == before


def test_clients_that_leave_in_the_middle_of_an_answer_do_not_make_the_master_deaf(own_farm: Farm) -> None:
    """With Buildbot 4.3's own writing (master/mended.py) none was answered any more after 7 to 30 of them."""
    own_farm.up("master")
    ask = f"GET /api/v2/builders HTTP/1.1\r\nHost: 127.0.0.1:{own_farm.port}\r\n\r\n".encode()
    for number in range(400):
        with socket.create_connection(("127.0.0.1", own_farm.port), timeout=60) as one:
            one.sendall(ask)
            # Closed by a reset, and at another moment each time.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if number % 2:
                assert one.recv(300)
            time.sleep(0.0007 * (number % 23))
    assert own_farm.get("builders")["meta"]["total"] > 0
    text = own_farm.log("master")
    assert "http client disconnected before results were sent" in text, "every answer was whole before its client left"
    assert "Unhandled Error" not in text


def test_clients_that_leave_in_the_middle_of_a_log_hold_up_no_log_and_no_build(own_farm: Farm) -> None:
    """With Buildbot 4.3's own reading (master/mended.py) no build could end any more after one to four of them."""
    own_farm.up()
    chatty = commit(own_farm.repository, {"chatty": {"cpython": [2000, 5]}})
    build = own_farm.finished(own_farm.force(revision=chatty))
    logs = [
        log for step in own_farm.steps(build).values() for log in own_farm.get(f"steps/{step['stepid']}/logs")["logs"]
    ]
    path = f"api/v2/logs/{max(logs, key=lambda log: int(log['num_lines']))['logid']}/raw"
    for _ in range(40):
        with own_farm.http.stream("GET", path) as answer:
            assert answer.status_code == 200
            next(answer.iter_raw())
    assert own_farm.http.get(path).text.count("\n") > 10_000
    assert own_farm.finished(own_farm.force(revision=chatty))["results"] == 0


def test_with_a_login_only_who_logs_in_can_force(own_farm: Farm) -> None:
    with own_farm.home.settings_file.open("a") as settings:
        settings.write(f'[login.users]\nanna = "{hash_of("correct horse")}"\n')
    own_farm.up("master")

    def force() -> httpx.Response:
        return own_farm.http.post("api/v2/forceschedulers/force-cell", json=FORCE)

    assert force().status_code == 403
    assert own_farm.get("builders")["builders"], "everyone may look"
    assert own_farm.http.get("auth/login", auth=("anna", "wrong")).status_code == 401
    assert force().status_code == 403
    own_farm.http.get("auth/login", auth=("anna", "correct horse"))
    assert "40 digits" in force().json()["error"]["message"]["revision"]
