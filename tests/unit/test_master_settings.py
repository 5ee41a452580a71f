from __future__ import annotations

import dataclasses
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
        ("[sources]\nmirrors = [1]\n", ":2: [sources] mirrors", "Expected `str`", "`int`"),
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
    raw = tomllib.loads(text)
    for section in dataclasses.fields(settings.Settings):
        many = section.name == "workers"
        kind = settings.WorkerSettings if many else type(getattr(settings.Settings(), section.name))
        table = {key for row in raw[section.name] for key in row} if many else raw[section.name]
        assert {field.name for field in dataclasses.fields(kind)} == set(table), section.name
    for name, kind in (("docker", Docker), ("kubernetes", Kubernetes)):
        (table,) = (row[name] for row in raw["workers"] if name in row)
        assert {field.name for field in dataclasses.fields(kind)} == set(table), name
