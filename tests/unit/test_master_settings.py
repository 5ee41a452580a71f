from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from master import settings
from master.fleet.choice import Docker, Kubernetes
from master.home import Home, cache_directory, home_of
from workers.errors import Failure
from workers.machine import native_target
from workers.model import ROOT, load_matrix

MATRIX = load_matrix()
PATH = Path("/etc/pymint/settings.toml")
X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"


def read(text: str) -> settings.Settings:
    found = settings.parse(text, PATH)
    settings.check(found, MATRIX, PATH, text)
    return found


def refusal(text: str) -> str:
    with pytest.raises(Failure) as caught:
        read(text)
    return str(caught.value)


def test_no_file_is_as_good_as_an_empty_one(tmp_path: Path) -> None:
    assert settings.load(Home(tmp_path, tmp_path), MATRIX) == read("") == settings.Settings()


def test_defaults_listen_on_loopback_and_build_the_release_set() -> None:
    found = read("")
    assert (found.web.port, found.protocol.port) == (8010, 9989)
    assert settings.is_loopback(found.web.interface)
    assert settings.is_loopback(found.protocol.interface)
    assert settings.page_url(found) == "http://127.0.0.1:8010/"
    assert found.push.set == "release"


def test_a_wrong_key_is_answered_with_file_line_and_the_known_keys() -> None:
    text = refusal("# mine\n[web]\nport = 1\nprot = 2\n")
    assert "/etc/pymint/settings.toml:4: [web] prot: there is no such key" in text
    assert "port, interface, url" in text


def test_a_wrong_section_is_answered_with_the_known_sections() -> None:
    text = refusal('[push]\nset = "full"\n[wep]\n')
    assert "/etc/pymint/settings.toml:3: [wep]" in text
    assert "repository" in text


@pytest.mark.parametrize(
    ("toml", "place", "wanted", "found"),
    [
        ('[web]\n\nport = "8010"\n', ":3: [web] port", "Expected `int`", "`str`"),
        ('[fips]\nprocedure = "fast"\n', ":2: [fips] procedure", "Invalid enum value 'fast'", None),
        ('[[workers]]\nname = "a"\ntargets = "x"\n', ":3: [workers] targets", "Expected `array`", "`str`"),
        ("[sources]\nmirrors = [1]\n", ":2: [sources] mirrors[0]", "Expected `str`", "`int`"),
    ],
)
def test_a_wrong_value_says_where_what_was_wanted_and_found(
    toml: str, place: str, wanted: str, found: str | None
) -> None:
    text = refusal(toml)
    assert f"/etc/pymint/settings.toml{place}: this value can't be used" in text
    assert f"wanted  {wanted}" in text
    assert found is None or f"found   {found}" in text


def test_what_is_no_toml_says_the_line() -> None:
    assert "line 2" in refusal("[web]\nport 8010\n")


@pytest.mark.parametrize(
    ("toml", "known"),
    [
        ('[push]\nset = "relaese"\n', "release, full"),
        ('[push]\ncells = ["cpython-3.9"]\n', f"cpython-3.10-{X86}-pgo-lto"),
        ('[[workers]]\nname = "a"\ntargets = ["x86_64"]\n', X86),
    ],
)
def test_a_wrong_name_is_answered_with_those_that_exist(toml: str, known: str) -> None:
    assert known in refusal(toml)


@pytest.mark.parametrize("name", ["A", "../x", "a/b", "-a", "a b", "a" * 41, ""])
def test_a_workers_name_can_be_no_path(name: str) -> None:
    assert "this is no name for a worker" in refusal(f'[[workers]]\nname = "{name}"\ntargets = []\n')


def test_two_workers_can_not_share_a_name() -> None:
    one = f'[[workers]]\nname = "a"\ntargets = ["{X86}"]\n'
    said = refusal(one + one)
    assert "two workers have the same name" in said
    assert "found   'a'" in said


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        ('[signing]\nprofile = "cosign"\n', ":2: [signing] profile: this value can't be used"),
        ('[signing]\nkey = "farm.pem"\n', ":2: [signing] key: this key can't be used\n  wanted  a URI that"),
        ('[signing]\n\nbase = "farm"\n', ":3: [signing] base: this is no address"),
        ('[signing]\nkeys = "x"\n', ":2: [signing] keys: there is no such key"),
        ('[signing]\nbuilders = { nobody = "x/v1" }\n', ":2: [signing] builders: there is no worker 'nobody'"),
    ],
)
def test_a_wrong_choice_of_who_signs_is_answered_with_its_line(toml: str, text: str) -> None:
    assert f"/etc/pymint/settings.toml{text}" in refusal(toml)


@pytest.mark.parametrize("interface", ["0.0.0.0", "::", "192.0.2.1", "farm.example"])
def test_a_page_that_others_reach_needs_a_login(interface: str) -> None:
    assert "would let anyone in the network start builds" in refusal(f'[web]\ninterface = "{interface}"\n')
    read(f'[web]\ninterface = "{interface}"\n[login.users]\nanna = "scrypt:x:y"\n')


@pytest.mark.parametrize("interface", ["127.0.0.1", "localhost", "::1", "127.0.0.53"])
def test_loopback_needs_none(interface: str) -> None:
    read(f'[web]\ninterface = "{interface}"\n')


def test_cells_are_those_with_a_worker_and_the_others_wait() -> None:
    found = read(f'[[workers]]\nname = "a"\ntargets = ["{X86}"]\n')
    worked, waiting = settings.worked_cells(found, MATRIX), settings.waiting_cells(found, MATRIX)
    assert {cell.target.triple for cell in worked} == {X86}
    assert X86 not in {cell.target.triple for cell in waiting}
    assert len(worked) + len(waiting) == len(list(MATRIX.all_cells()))


def test_a_push_never_asks_for_a_cell_without_a_worker() -> None:
    found = read(f'[[workers]]\nname = "a"\ntargets = ["{X86}"]\n')
    assert len(settings.push_cells(found, MATRIX)) == 7
    mac = "cpython-3.13-aarch64-apple-darwin-noopt"
    found = read(f'[push]\ncells = ["{mac}"]\n[[workers]]\nname = "a"\ntargets = ["{X86}"]\n')
    assert settings.push_cells(found, MATRIX) == []


def test_a_push_builds_emulated_cells_only_where_they_are_named() -> None:
    worker = f'[[workers]]\nname = "a"\ntargets = ["{X86}"]\ncross = ["{ARM}"]\n'
    found = read(worker)
    assert {cell.target.triple for cell in settings.worked_cells(found, MATRIX)} == {X86, ARM}
    assert {cell.target.triple for cell in settings.push_cells(found, MATRIX)} == {X86}
    named = f"cpython-3.13-{ARM}-noopt"
    found = read(f'[push]\ncells = ["{named}"]\n{worker}')
    assert [cell.builder_name for cell in settings.push_cells(found, MATRIX)] == [named]


@pytest.mark.parametrize(
    ("system", "machine", "target"),
    [("Linux", "x86_64", X86), ("Darwin", "arm64", "aarch64-apple-darwin"), ("Linux", "riscv64", None)],
)
def test_a_machine_builds_its_own_target(system: str, machine: str, target: str | None) -> None:
    assert native_target(system, machine) == target


def test_places_follow_the_environment(tmp_path: Path) -> None:
    assert home_of(tmp_path, {}).root == tmp_path / ".mint"
    assert home_of(tmp_path, {"MINT_HOME": "/srv/mint"}).root == Path("/srv/mint")
    assert cache_directory({"MINT_CACHE": "/c"}) == Path("/c")
    assert cache_directory({"HOME": "/home/anna"}) == Path("/home/anna/.cache/pymint")


def test_the_documentation_is_a_valid_file_with_every_setting_in_it() -> None:
    text = (ROOT / "docs" / "settings.md").read_text().partition("```toml\n")[2].partition("```")[0]
    found = read(text.replace("…", "x:y"))
    assert found.web.url == "https://mint.example/"
    # What can only stand there instead of something else is a comment.
    raw = tomllib.loads(re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE))
    for section in dataclasses.fields(settings.Settings):
        several = {"workers": settings.WorkerSettings, "masters": settings.MasterSettings}
        many = section.name in several
        kind = several.get(section.name) or type(getattr(settings.Settings(), section.name))
        table = set().union(*raw[section.name]) if many else set(raw[section.name])
        assert {field.name for field in dataclasses.fields(kind)} == table, section.name
    for name, kind in (("docker", Docker), ("kubernetes", Kubernetes)):
        (table,) = (set(row[name]) for row in raw["workers"] if name in row)
        assert {field.name for field in dataclasses.fields(kind)} == table, name


LOGIN = '[login.users]\nanna = "scrypt:x:y"\n'
HUB = '[github]\nrepository = "example/pythons"\ntoken_file = "token"\n'
STRANGERS = (
    f'[[workers]]\nname = "local"\ntargets = ["{X86}"]\n'
    f'[[workers]]\nname = "strangers"\ntargets = ["{X86}"]\npull_requests = true\n'
)


@pytest.mark.parametrize(
    ("toml", "place", "text"),
    [
        ('[github]\nrepository = "pythons"\ntoken_file = "x"\n', ":2: [github] repository", "OWNER/NAME"),
        ('[github]\nrepository = "a/b"\n', ":1: [github] token_file", "can't be read without it"),
        ('[github]\ntoken_file = "x"\n', ":1: [github] repository", "of no use without it"),
        (HUB + 'api = "github"\n', ":4: [github] api", "no address"),
        (HUB + "pace_s = -1\n", ":4: [github] pace_s", "0 to 60"),
        (HUB + "poll_minutes = 0\n", ":4: [github] poll_minutes", "interval"),
        ('[pull_requests]\nset = "release"\n' + STRANGERS, ":2: [pull_requests] set", "nothing tells of pull requests"),
        (HUB + '[pull_requests]\nset = "release"\n', ":5: [pull_requests] set", "no worker builds pull requests"),
        (HUB + STRANGERS + '[pull_requests]\nset = "release"\n', ":12: [pull_requests] set", "without a login"),
        (HUB + '[pull_requests]\nstore = "store/"\n', ":5: [pull_requests] store", "where main's archives are"),
        (HUB + '[pull_requests]\nstore = "."\n', ":5: [pull_requests] store", "where main's archives are"),
        (HUB + '[pull_requests]\nlabel = " "\n', ":5: [pull_requests] label", "no label"),
        (HUB + "[pull_requests]\nstage_minutes = 0\n", ":5: [pull_requests] stage_minutes", "more than 0"),
        (HUB + "[pull_requests]\nmax_store_gb = -1.0\n", ":5: [pull_requests] max_store_gb", "more than 0"),
    ],
)
def test_what_can_not_be_done_with_github_is_said(toml: str, place: str, text: str) -> None:
    said = refusal(toml)
    assert place in said
    assert text in said
    assert "docs/github.md" in said


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        ("[web]\nport = 0\n", ":2: [web] port"),
        ("[web]\nport = 65536\n", ":2: [web] port"),
        ("[protocol]\nport = -1\n", ":2: [protocol] port"),
        ("[notices]\nsmtp_port = 0\n", ":2: [notices] smtp_port"),
        ("[repository]\npoll_s = 0\n", ":2: [repository] poll_s"),
        ("[build]\njobs = 0\n", ":2: [build] jobs"),
        ("[build]\nsilent_minutes = -5\n", ":2: [build] silent_minutes"),
        ("[build]\nstage_minutes = 0\n", ":2: [build] stage_minutes"),
        ("[build]\nkeep_log_days = -1\n", ":2: [build] keep_log_days"),
        (STRANGERS + "max_builds = 0\n", ":8: [workers] max_builds"),
        (STRANGERS + "disk_gb = nan\n", ":8: [workers] disk_gb"),
        ('[web]\nurl = "mint.example"\n', ":2: [web] url"),
        (STRANGERS.replace("strangers", "farm"), ":5: [workers] name"),
        ('[database]\nurl = "postgresql://db/x?password=y"\n', ":2: [database] url"),
        ('[cluster]\nrouter = "ws://h:99999/ws"\n', ":2: [cluster] router"),
    ],
)
def test_a_value_that_nothing_could_work_with_is_refused(toml: str, place: str) -> None:
    said = refusal(toml)
    assert place in said
    assert "wanted" in said


def test_unknown_names_of_pull_requests_are_answered_with_the_known_ones() -> None:
    assert "there is no cell 'x'" in refusal(HUB + STRANGERS + '[pull_requests]\ncells = ["x"]\n')
    assert "there is no set 'x'" in refusal(HUB + STRANGERS + '[pull_requests]\nset = "x"\n')


def test_a_worker_is_for_pull_requests_or_for_branches() -> None:
    name = f"cpython-3.13-{X86}-noopt"
    found = read(HUB + LOGIN + f'[pull_requests]\ncells = ["{name}", "{name.replace(X86, ARM)}"]\n' + STRANGERS)
    assert [one.name for one in settings.main_workers(found)] == ["local"]
    assert [one.name for one in settings.pull_workers(found)] == ["strangers"]
    assert [cell.builder_name for cell in settings.pull_cells(found, MATRIX)] == [name]
    only = read(f'[[workers]]\nname = "local"\ntargets = ["{X86}"]\npull_requests = true\n')
    assert settings.worked_cells(only, MATRIX) == []
    assert settings.push_cells(only, MATRIX) == []
    assert settings.pull_cells(read(""), MATRIX) == []
