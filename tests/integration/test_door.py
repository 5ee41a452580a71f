"""What other web pages in the operator's browser can't do."""

from __future__ import annotations

import httpx
import pytest

from master.access import hash_of
from tests.integration.farm import Farm, cell_name

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
