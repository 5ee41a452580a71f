"""What of a cluster is decided by values: settings, places, what is repeated or given back, when a master ends."""

from __future__ import annotations

import shutil
import socket
import threading
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from buildbot.db.model import Model

from master import instance, settings
from master.cluster import postgres, rounds, router, watchdog
from master.cluster.rounds import orphans, stuck
from master.home import Home, home_of, home_of_master
from tests.unit.backup_samples import empty_database
from workers.errors import Failure
from workers.model import ROOT, load_matrix

MATRIX = load_matrix()
DATABASE = '[database]\nurl = "postgresql://pymint@db.example/pymint"\n'
BASE = '[signing]\nbase = "https://mint.example"\n'
TWO = BASE + '[[masters]]\nname = "a"\n[[masters]]\nname = "b"\nweb_port = 8011\nworker_port = 9988\n'


def load(tmp_path: Path, text: str, name: str | None = None) -> settings.Settings:
    (tmp_path / "settings.toml").write_text(text)
    return settings.load(Home(tmp_path, ROOT, name), MATRIX)


def test_each_master_has_its_own_ports_from_one_file(tmp_path: Path) -> None:
    one, other = (load(tmp_path, DATABASE + TWO, name) for name in ("a", "b"))
    assert (one.web.port, one.protocol.port) == (8010, 9989)
    assert (other.web.port, other.protocol.port) == (8011, 9988)
    assert settings.page_url(other) == "http://127.0.0.1:8011/"
    page = '[web]\nurl = "https://mint.example"\n'
    assert settings.page_url(load(tmp_path, DATABASE + TWO.replace("base", "source") + page, "b")) == (
        "https://mint.example/"
    ), "one address for people, whichever master answers"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TWO, "several masters need a database"),
        ('[database]\npassword_file = "x"\n', "SQLite has no password"),
        ('[database]\nurl = "mysql://db/x"\n', "this is no PostgreSQL database"),
        ('[database]\nurl = "postgresql://u:hunter2@db/x"\n', "a password stands in the settings"),
        (DATABASE + TWO.replace('"b"', '"a"'), "two masters have the same name"),
        (DATABASE + TWO.replace('"b"', '"../b"'), "this is no name for a master"),
        (DATABASE + TWO.replace("8011", "8010"), "a and b would listen|b and a would listen"),
        (DATABASE + TWO.replace("base", "source"), "each master would sign by the address of its own page"),
        (DATABASE + TWO + '[cluster]\nrouter = "http://x"\n', "this is no router"),
        (DATABASE + TWO + "[cluster]\nexpire_minutes = 1\n", "masters say once a minute that they live"),
        (DATABASE + TWO.replace("8011", '8011\nweb_interface = "0.0.0.0"'), "anyone in the network"),
    ],
)
def test_what_can_not_be_is_told(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(Failure, match=words) as told:
        load(tmp_path, text)
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("change", "line", "key"),
    [
        (("8011", '8011\nweb_interface = "0.0.0.0"'), 10, "web_interface"),
        (("8011", "8010"), 9, "web_port"),
        (("9988", "9989"), 10, "worker_port"),
        (('"b"', '"a"'), 8, "name"),
        (('"b"', '"../b"'), 8, "name"),
    ],
)
def test_what_is_wrong_with_the_second_master_is_told_with_its_own_line(
    tmp_path: Path, change: tuple[str, str], line: int, key: str
) -> None:
    with pytest.raises(Failure, match=rf"settings\.toml:{line}: \[masters\] {key}: "):
        load(tmp_path, DATABASE + TWO.replace(*change))


def test_a_master_that_the_settings_do_not_have_is_told_with_those_that_they_have(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"a, b"):
        load(tmp_path, DATABASE + TWO, "c")
    with pytest.raises(Failure, match="there is no"):
        load(tmp_path, "", "a")


def test_a_name_from_the_environment_never_leads_out_of_the_home(tmp_path: Path) -> None:
    assert home_of(tmp_path, {"MINT_MASTER": "a"}).master == tmp_path / ".mint" / "masters" / "a"
    for bad in ("../x", "a/b", "A", ""):
        if bad:
            with pytest.raises(Failure, match="no name for a master"):
                home_of(tmp_path, {"MINT_MASTER": bad})
    assert home_of(tmp_path, {"MINT_MASTER": ""}).name is None


def test_a_master_knows_by_its_directory_which_one_it_is(tmp_path: Path) -> None:
    for home in (Home(tmp_path, ROOT), Home(tmp_path, ROOT, "b")):
        assert home_of_master(home.master, ROOT) == home


def test_the_local_worker_is_told_of_every_master(tmp_path: Path) -> None:
    chosen = load(tmp_path, DATABASE + TWO, "b")
    told = tomllib.loads(instance.worker_toml(Home(tmp_path, ROOT, "b"), chosen, settings.WorkerSettings("local", [])))
    assert told["masters"] == ["tcp:host=127.0.0.1:port=9989", "tcp:host=127.0.0.1:port=9988"]
    assert "host" not in told


def error_with(code: str | None, *, cut: bool = False) -> sa.exc.OperationalError:
    original = Exception("x")
    original.pgcode = code  # type: ignore[attr-defined]
    return sa.exc.OperationalError("SELECT 1", {}, original, connection_invalidated=cut)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (error_with("57P01"), True),  # the server is shutting down
        (error_with("57P03"), True),  # it is starting up
        (error_with("40P01"), True),  # a deadlock: this one gave way
        (error_with(None, cut=True), True),  # the connection is gone
        (error_with("42P01"), False),  # no such table: never goes well
        (error_with(None), False),
    ],
)
def test_only_what_passes_is_done_again(error: Any, again: bool) -> None:
    assert postgres.passing(error) is again


def test_a_cut_connection_is_one_kind_of_error_however_the_client_tells_it() -> None:
    told = SimpleNamespace(
        is_disconnect=True, sqlalchemy_exception=sa.exc.InterfaceError("x", {}, Exception("closed")), statement="x",
        parameters={}, original_exception=Exception("connection already closed"),
    )  # fmt: skip
    made = postgres.as_operational(told)
    assert isinstance(made, sa.exc.OperationalError)
    assert postgres.passing(made)
    told.is_disconnect = False
    assert postgres.as_operational(told) is None


def test_a_claim_is_given_back_only_when_nothing_came_of_it_twice() -> None:
    assert orphans([1, 2, 3], known={2}, seen={2, 3}) == {3}


def test_a_build_whose_worker_went_while_it_began_is_found() -> None:
    def build(worker: object, *, has: bool = True) -> Any:
        return SimpleNamespace(workerforbuilder=SimpleNamespace(worker=worker) if has else None)

    lost, fine, over = build(None), build(object()), build(None, has=False)
    builder = SimpleNamespace(building=[lost, fine, over])
    assert stuck([builder]) == [(builder, lost)]


class Session:
    attached = True

    def is_attached(self) -> bool:
        return self.attached


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(watchdog, "end", lambda why, **_: said.append(why))
    return said


def master(session: Session | None) -> Any:
    wamp = SimpleNamespace(app=object(), service=session, router_url="ws://router/ws")
    return SimpleNamespace(wamp=wamp, running=True, _got_sigterm=False)


def steps(watch: watchdog.Watch, seconds: float) -> None:
    for _ in range(int(seconds / watchdog.LOOK_S)):
        watch.step()


def test_a_master_with_a_router_is_left_alone(ended: list[str]) -> None:
    steps(watchdog.Watch(master(Session())), 1000)
    assert not ended


def test_a_master_that_lost_its_router_ends_as_soon_as_its_services_have(ended: list[str]) -> None:
    one = master(Session())
    watch = watchdog.Watch(one)
    one.wamp.service.attached = False
    steps(watch, watchdog.STOPPING_S - 1)
    assert not ended, "it is still giving its builds back"
    one.running = False
    watch.step()
    assert "was lost" in ended[0]


def test_a_master_that_can_not_stop_its_services_ends_all_the_same(ended: list[str]) -> None:
    one = master(Session())
    one.wamp.service.attached = False
    steps(watchdog.Watch(one), watchdog.STOPPING_S + 2)
    assert ended


def test_a_master_that_finds_no_router_ends_and_does_not_wait_for_ever(ended: list[str]) -> None:
    steps(watchdog.Watch(master(None)), watchdog.NO_ROUTER_S + 2)
    assert "no router answers at ws://router/ws" in ended[0]


def test_a_master_that_is_asked_to_end_is_not_hurried(ended: list[str]) -> None:
    one = master(Session())
    one._got_sigterm, one.wamp.service.attached = True, False
    steps(watchdog.Watch(one), 100)
    assert not ended


def test_a_master_starts_as_soon_as_its_router_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{place.getsockname()[1]}/ws"
        waiting = threading.Thread(target=watchdog.await_router, args=(url,), daemon=True)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive(), "nobody listens yet"
        place.listen()
        waiting.join(30)
        assert not waiting.is_alive()
    assert f"waiting for the router at {url}" in capsys.readouterr().err


def test_the_router_gives_no_more_than_buildbot_needs_and_nothing_to_browsers() -> None:
    (worker,) = router.configuration("ws://10.0.0.1:9980/ws")["workers"]
    (transport,) = worker["transports"]
    assert (transport["endpoint"]["interface"], transport["endpoint"]["port"]) == ("10.0.0.1", 9980)
    assert transport["options"]["allowed_origins"] == []
    ((permission,),) = [role["permissions"] for realm in worker["realms"] for role in realm["roles"]]
    assert (permission["uri"], permission["match"]) == ("org.buildbot.", "prefix")


def test_only_what_a_dead_master_claimed_and_did_not_answer_is_given_back(tmp_path: Path) -> None:
    shutil.copy(empty_database(), tmp_path / "state.sqlite")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'state.sqlite'}")
    masters, claims, requests = Model.masters, Model.buildrequest_claims, Model.buildrequests
    with engine.connect() as connection:
        for number, active in ((1, 0), (2, 1)):
            connection.execute(masters.insert().values(
                id=number, name=f"m{number}", name_hash=str(number), active=active, last_active=1))  # fmt: skip
        for number, complete, master in ((10, 0, 1), (11, 1, 1), (12, 0, 2)):
            connection.execute(requests.insert().values(
                id=number, buildsetid=1, builderid=1, complete=complete, submitted_at=1))  # fmt: skip
            connection.execute(claims.insert().values(brid=number, masterid=master, claimed_at=1))
        connection.commit()
        assert rounds._give_back(connection) == [10]
        assert sorted(connection.execute(sa.select(claims.c.brid)).scalars()) == [11, 12]
        assert rounds._give_back(connection) == []
