"""Who may do what, role by role and control by control, through the real REST API of a real master."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from master.access import hash_of
from master.access.table import INCLUDED, NOBODY, RULES, with_included
from tests.integration.fake_github_login import CLIENT, SECRET, Account, GitHub, running
from tests.integration.farm import Farm, cell_name, make_repository

PEOPLE = {"reader": "rita", "builder": "bob", "releaser": "rosa", "admin": "otto"}
ANYBODY = {"anonymous": None, "without a role": "mallory", **PEOPLE}
WORKERS = '[[workers]]\nname = "local"\ntargets = ["x86_64-unknown-linux-gnu"]\n'


def lists() -> str:
    return "".join(f'{role}s = ["{name}"]\n' for role, name in PEOPLE.items())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A master with a user of each role, one without any, and nothing shown without a login; a request that waits."""
    farm = Farm(tmp_path_factory.mktemp("guarded"), pushed=[], more_settings=WORKERS)
    farm.first = make_repository(farm.repository)
    users = "".join(f'{name} = "{hash_of("word")}"\n' for name in (*PEOPLE.values(), "mallory"))
    with farm.home.settings_file.open("a") as settings:
        settings.write(f'[login.users]\n{users}[access]\nread = "login"\n{lists()}')
    # `up` would wait for an answer that takes a login.
    farm.http = visitor(farm, None)
    try:
        start(farm)
        yield farm
    finally:
        farm.close()


def start(farm: Farm) -> None:
    """The master alone, up to its first answer, whatever it is."""
    from tests.integration.farm import until

    farm.masters = lambda: farm.http.get("api/v2/masters").status_code in (200, 401)  # type: ignore[method-assign]
    farm.up("master")
    until("the master answers", farm.masters)


def visitor(farm: Farm, name: str | None, word: str = "word") -> httpx.Client:
    client = httpx.Client(base_url=farm.url, timeout=60, trust_env=False)
    if name is not None:
        client.get("auth/login", auth=(name, word))
    return client


@pytest.fixture(scope="module")
def people(guarded: Farm) -> dict[str, httpx.Client]:
    return {role: visitor(guarded, name) for role, name in ANYBODY.items()}


@pytest.fixture(scope="module")
def request_id(guarded: Farm, people: dict[str, httpx.Client]) -> int:
    """A request of a cell that no worker will ever answer: none is started."""
    answer = call(people["builder"], "forceschedulers/force-cell", "force", builderNames=[cell_name()])
    (request,) = answer.json()["result"][1].values()
    return int(request)


def call(client: httpx.Client, path: str, method: str, **params: Any) -> httpx.Response:
    return client.post(f"api/v2/{path}", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


# A path and parameters for each control, as harmless as it can be asked for.
ASKED: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("ForceSchedulerEndpoint", "force"): ("forceschedulers/{form}", {"revision": "no commit", "builderid": 999}),
    ("BuildEndpoint", "stop"): ("builds/999", {}),
    ("BuildEndpoint", "rebuild"): ("builds/999", {}),
    ("BuildRequestEndpoint", "cancel"): ("buildrequests/999", {}),
    ("BuildRequestEndpoint", "set_priority"): ("buildrequests/{request}", {"priority": 7}),
    ("WorkerEndpoint", "pause"): ("workers/1", {}),
    ("WorkerEndpoint", "unpause"): ("workers/1", {}),
    ("WorkerEndpoint", "stop"): ("workers/1", {}),
    ("WorkerEndpoint", "kill"): ("workers/1", {}),
    ("SchedulerEndpoint", "enable"): ("schedulers/1", {"enabled": True}),
}


def test_every_control_of_the_table_is_tried() -> None:
    assert set(ASKED) == {pair for rule in RULES if rule.controls is not None for pair in rule.controls}
    assert set(PEOPLE) == set(INCLUDED)


def test_each_role_may_what_the_table_says_and_nothing_else(people: dict[str, httpx.Client], request_id: int) -> None:
    tried, wrong = 0, []
    for rule in RULES:
        form = next(iter(rule.forms)) if rule.forms else "__Janitor_force"
        for pair in sorted(rule.controls or ()):
            path, params = ASKED[pair]
            for role, client in people.items():
                status = call(client, path.format(form=form, request=request_id), pair[1], **params).status_code
                may = role in PEOPLE and rule.role in with_included({role})
                tried += 1
                if (status not in (401, 403)) != may:
                    wrong.append((rule.what, pair, role, status))
    assert wrong == []
    assert tried == len(ANYBODY) * 11


def test_only_a_releaser_comes_near_a_release_and_nobody_near_what_no_rule_is_about(
    people: dict[str, httpx.Client],
) -> None:
    for role, client in people.items():
        status = call(client, "forceschedulers/release", "force", tag="x", revision="zz").status_code
        assert (status not in (401, 403)) == (role == "releaser"), role
        for path, action in (("builders/1", "an-action-of-the-future"), ("no/such/path", "force"), ("builds", "stop")):
            assert call(client, path, action).status_code in (401, 403), (role, path, NOBODY)


def test_an_admin_reorders_what_waits_which_buildbot_alone_can_not(
    people: dict[str, httpx.Client], request_id: int
) -> None:
    """Buildbot 4.3 answers with status 500 where SQLAlchemy is 2.x (master/mended.py)."""
    answer = call(people["admin"], f"buildrequests/{request_id}", "set_priority", priority=42)
    assert (answer.status_code, answer.json()["result"]) == (200, None)
    (found,) = people["reader"].get(f"api/v2/buildrequests/{request_id}").json()["buildrequests"]
    assert found["priority"] == 42


# What there is, for who may read it.
SHOWN = [
    "api/v2/builds", "config", "ws", "pages/matrix", "pages/part/matrix", "pages/", "plugins/pymint/scripts.js",
    "index.html", f"releases/readiness?sha={'0' * 40}", "keys/keys.json", "sse/builds",
]  # fmt: skip
READ = [
    *SHOWN, "api/v2/", "archives/x/1/", "no-such-thing", "api/../api/v2/builds", "/api/v2/builds",
    "auth/../api/v2/builds", "Auth/login", "auth%2f..%2fapi", "%00",
]  # fmt: skip


@pytest.mark.parametrize("path", READ)
def test_where_reading_takes_a_login_nothing_is_told_to_others(
    guarded: Farm, people: dict[str, httpx.Client], path: str
) -> None:
    for role, status in (("anonymous", 401), ("without a role", 403)):
        answer = raw(guarded, path, people[role])
        assert answer[0] == status or (path.startswith("auth/") and answer[0] == 404), (role, answer)
        assert b"builder" not in answer[1]
    assert (raw(guarded, path, people["reader"])[0] in (101, 200, 302)) == (path in SHOWN)


def raw(farm: Farm, path: str, client: httpx.Client) -> tuple[int, bytes]:
    """Status and the beginning of the answer, the path sent as it stands; `ws` asks for a websocket."""
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    lines = [f"GET /{path} HTTP/1.1", f"Host: 127.0.0.1:{farm.port}", f"Cookie: {cookies}", "Connection: close"]
    if path == "ws":
        lines[-1:] = [
            "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", farm.port), timeout=60) as one:
        one.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        data = one.recv(4096)
    return int(data.split(b" ", 2)[1]), data


def test_a_browser_is_sent_to_sign_in_and_hooks_and_signing_in_stay_open(people: dict[str, httpx.Client]) -> None:
    nobody = people["anonymous"]
    assert nobody.get("").headers["location"].endswith("auth/login")
    assert "basic" in nobody.get("auth/login").headers["www-authenticate"].lower()
    assert "Sign in first" not in nobody.post("change_hook/github", json={}).text
    assert people["reader"].get("").status_code == 200


def test_the_cookie_of_a_session_is_for_the_farm_s_own_page_alone(guarded: Farm) -> None:
    answer = visitor(guarded, None).get("auth/login", auth=("rita", "word"))
    (cookie,) = [text for text in answer.headers.get_list("set-cookie") if "TWISTED_SESSION" in text][-1:]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


ORGANISATION = "example"
MEMBER = Account("octo", {ORGANISATION: "active"}, [(ORGANISATION, "build"), ("other", "admins")])


@pytest.fixture(scope="module")
def github() -> Iterator[GitHub]:
    with running() as one:
        yield one


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, github: GitHub) -> Iterator[Farm]:
    farm = Farm(tmp_path_factory.mktemp("hub"), pushed=[], more_settings=WORKERS)
    make_repository(farm.repository)
    secret = farm.home.root / "oauth"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    with farm.home.settings_file.open("a") as settings:
        settings.write(
            f'[access]\nread = "login"\nbuilders = ["@build"]\nreleasers = ["@admins"]\nadmins = ["boss"]\n'
            f'github_organization = "{ORGANISATION}"\ngithub_client_id = "{CLIENT}"\n'
            f'github_client_secret_file = "oauth"\ngithub_url = "{github.url}"\n'
        )
    try:
        start(farm)
        yield farm
    finally:
        farm.close()


def signs_in(farm: Farm, path: str = "auth/login") -> tuple[httpx.Client, httpx.Response]:
    """A browser that follows where it is sent: to GitHub and back."""
    client = httpx.Client(base_url=farm.url, timeout=60, trust_env=False, follow_redirects=True)
    return client, client.get(path)


def test_a_member_signs_in_with_github_and_has_the_roles_of_the_teams(hub: Farm, github: GitHub) -> None:
    github.as_ = MEMBER
    client, answer = signs_in(hub, "auth/login?redirect=/builders/1")
    assert answer.history[-1].headers["location"] == f"{hub.url}#/builders/1"
    assert client.get("api/v2/builders").status_code == 200
    assert call(client, "forceschedulers/force-cell", "force", revision="zz").status_code == 400
    # `admins` is a team of another organisation.
    assert call(client, "forceschedulers/release", "force", tag="x").status_code == 403
    assert call(client, "workers/1", "pause").status_code == 403
    assert github.asked[-1]["scope"] == "read:org"


@pytest.mark.parametrize(
    "account",
    [
        Account("stranger", {"other": "active"}, [(ORGANISATION, "build")]),
        Account("invited", {ORGANISATION: "pending"}, [(ORGANISATION, "build")]),
        Account("boss"),
    ],
    ids=lambda one: one.login,
)
def test_who_is_no_member_gets_no_session(hub: Farm, github: GitHub, account: Account) -> None:
    github.as_ = account
    client, answer = signs_in(hub)
    assert answer.status_code == 403
    assert f"{account.login} is no member of {ORGANISATION}" in answer.text
    assert client.get("api/v2/builders").status_code == 401


def test_a_code_that_this_browser_did_not_ask_for_signs_nobody_in(hub: Farm, github: GitHub) -> None:
    """Else another page could sign a browser in as its own author, or spend a code that it saw."""
    github.as_ = MEMBER
    mine = httpx.Client(base_url=hub.url, timeout=60, trust_env=False)
    away = mine.get("auth/login").headers["location"]
    back = httpx.get(away).headers["location"]
    for client in (httpx.Client(base_url=hub.url, timeout=60, trust_env=False), mine):
        forged = back if client is not mine else back.replace("state=", "state=x")
        assert client.get(forged).status_code == 403
        assert client.get("api/v2/builders").status_code == 401
    # And a sign-in is answered once: the forged answer has used it up.
    assert mine.get(back).status_code == 403


def test_github_down_or_denying_is_told_and_signs_nobody_in(hub: Farm, github: GitHub) -> None:
    github.as_, github.broken = MEMBER, 502
    try:
        assert "GitHub did not answer as it should" in signs_in(hub)[1].text
    finally:
        github.broken = 0
    github.denies = True
    try:
        client, answer = signs_in(hub)
        assert "did not let you sign in" in answer.text
        assert client.get("api/v2/builders").status_code == 401
    finally:
        github.denies = False


def test_a_session_made_by_other_means_has_no_role(hub: Farm, guarded: Farm) -> None:
    """A cookie of another farm, or one with a name of before, is worth nothing."""
    other = visitor(guarded, "otto")
    client = httpx.Client(base_url=hub.url, timeout=60, trust_env=False, cookies=dict(other.cookies))
    assert client.get("api/v2/builders").status_code in (401, 403)


def test_neither_token_nor_secret_is_written_anywhere(hub: Farm, github: GitHub) -> None:
    github.as_ = MEMBER
    signs_in(hub)
    assert github.tokens
    written = [path for path in hub.home.root.rglob("*") if path.is_file() and path.name != "oauth"]
    assert hub.home.master / "twistd.log" in written
    for path in written:
        _holds_none(path, [SECRET, *github.tokens])


def _holds_none(path: Path, words: list[str]) -> None:
    data = path.read_bytes()
    assert [word for word in words if word.encode() in data] == [], path
