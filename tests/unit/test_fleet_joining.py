"""Invitations, the lines for settings.toml, a worker's directory, and what keeps it running."""

from __future__ import annotations

import dataclasses
import os
import plistlib
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from master import settings
from master.cli.unit import Kept, ending, installing, launchd_list, systemd_unit
from master.cli.worker import _host_and_port
from master.fleet import inviting, joining
from master.fleet.invitation import PREFIX, Invitation, read, text_of
from master.home import Home
from workers.errors import Failure
from workers.model import ROOT, load_matrix

MATRIX = load_matrix()
X86, MAC = "x86_64-unknown-linux-gnu", "aarch64-apple-darwin"
INVITATION = Invitation("mint.example", 9989, "mac-1", "a password", "-----BEGIN CERTIFICATE-----\n…\n", 50.0)


def test_an_invitation_is_read_as_it_was_written_also_when_the_terminal_wrapped_it() -> None:
    text = text_of(INVITATION)
    assert read(text) == INVITATION
    assert read("\n ".join(text[i : i + 40] for i in range(0, len(text), 40)) + "\n") == INVITATION


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        text_of(INVITATION)[:-3],
        text_of(INVITATION)[:40] + "A" + text_of(INVITATION)[41:],
        PREFIX,
        PREFIX + ".",
    ],
)
def test_what_is_no_whole_invitation_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="this is no invitation of a master"):
        read(text)


def home_with(tmp_path: Path, toml: str) -> tuple[Home, settings.Settings]:
    home = Home(tmp_path, ROOT)
    home.settings_file.write_text(toml)
    return home, settings.load(home, MATRIX)


def test_a_new_worker_is_added_and_all_else_stays_as_it_was(tmp_path: Path) -> None:
    toml = f'# mine\n[[workers]]\nname = "a"\ntargets = ["{X86}"]  # by hand\n\n[push]\ncells = []'
    home, before = home_with(tmp_path, toml)
    after = inviting.add_worker(home, MATRIX, before, inviting.asked_for("mac-1", [MAC], 20))
    assert home.settings_file.read_text().startswith(toml)
    assert [(one.name, one.targets, one.disk_gb) for one in settings.workers_of(after)] == [
        ("a", [X86], None),
        ("mac-1", [MAC], 20),
    ]
    assert settings.load(home, MATRIX) == after


def test_the_local_worker_stays_when_the_first_other_one_is_invited(tmp_path: Path) -> None:
    home, before = home_with(tmp_path, "")
    after = inviting.add_worker(home, MATRIX, before, inviting.asked_for("mac-1", [MAC], None))
    assert [one.name for one in settings.workers_of(after)] == ["local", "mac-1"]


@pytest.mark.parametrize(
    ("toml", "name", "targets", "text"),
    [
        ("", "Mac One", [MAC], "this is no name for a worker"),
        ("", "mac-1", [], "what it builds was not said"),
        ("", "mac-1", ["vax"], "can't be added"),
        ("workers = []\n", "mac-1", [MAC], "can't be added"),
    ],
)
def test_what_can_not_be_added_leaves_the_settings_alone(
    tmp_path: Path, toml: str, name: str, targets: list[str], text: str
) -> None:
    home, before = home_with(tmp_path, toml)
    with pytest.raises(Failure, match=text):
        inviting.add_worker(home, MATRIX, before, inviting.asked_for(name, targets, None))
    assert home.settings_file.read_text() == toml


def test_an_invitation_holds_what_the_worker_needs(tmp_path: Path) -> None:
    toml = (
        f'[protocol]\ninterface = "0.0.0.0"\nnames = ["mint.example"]\n[[workers]]\nname = "a"\ntargets = ["{X86}"]\n'
    )
    home, chosen = home_with(tmp_path, toml)
    made = inviting.invitation_of(home, chosen, settings.workers_of(chosen)[0], None)
    assert (made.host, made.port, made.name, made.disk_gb) == ("mint.example", 9989, "a", 50.0)
    assert made.password == (home.secrets / "worker-a").read_text()
    assert made.authority.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in made.authority
    with pytest.raises(Failure, match="not for elsewhere"):
        inviting.invitation_of(home, chosen, settings.workers_of(chosen)[0], "elsewhere")
    inviting.new_password(home, settings.workers_of(chosen)[0])
    assert inviting.invitation_of(home, chosen, settings.workers_of(chosen)[0], None).password != made.password


def test_a_workers_directory_holds_its_password_for_its_owner_only(tmp_path: Path) -> None:
    place = joining.Place(tmp_path / "mac-1")
    joining.make_directory(place, INVITATION, ROOT, "anna@mac")
    written = tomllib.loads((place.base / "worker.toml").read_text())
    assert (written["name"], written["host"]) == ("mac-1", "mint.example")
    assert written["authority"] == str(place.authority)
    assert place.base not in place.authority.parents, "Buildbot deletes directories there"
    assert "a password" not in (place.base / "worker.toml").read_text()
    assert (place.base / "password").stat().st_mode & 0o777 == 0o600
    joining.make_directory(place, dataclasses.replace(INVITATION, authority="new"), ROOT, "anna@mac")
    assert [path.read_text() for path in place.authority.iterdir()] == ["new"]


def test_a_worker_that_plants_a_link_gets_nothing_of_root_s(tmp_path: Path) -> None:
    """Root makes a worker anew whose user has run what strangers wrote."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    place, secret = joining.Place(tmp_path / "mac-1"), tmp_path / "shadow"
    secret.write_text("root's")
    joining.make_directory(place, INVITATION, ROOT, "anna@mac")
    (place.base / "info" / "link").symlink_to(secret)
    joining.give_to(place, "nobody")
    assert secret.stat().st_uid == 0
    assert (place.base / "info").owner() == "nobody"
    elsewhere = tmp_path / "certs"
    elsewhere.mkdir()
    (elsewhere / "ca.pem").write_text("trusted")
    shutil.rmtree(place.authority)
    place.authority.symlink_to(elsewhere)
    with pytest.raises(Failure, match=f"{place.authority} is a link"):
        joining.make_directory(place, INVITATION, ROOT, "anna@mac")
    assert [one.name for one in elsewhere.iterdir()] == ["ca.pem"]
    with pytest.raises(Failure, match="there is no user 'no-such-user'"):
        joining.give_to(joining.Place(tmp_path / "x"), "no-such-user")


def test_settings_that_are_for_their_owner_only_stay_so(tmp_path: Path) -> None:
    home, before = home_with(tmp_path, "")
    real = tmp_path / "etc.toml"
    home.settings_file.rename(real)
    real.chmod(0o600)
    home.settings_file.symlink_to(real)
    inviting.add_worker(home, MATRIX, before, inviting.asked_for("mac-1", [MAC], None))
    assert home.settings_file.is_symlink()
    assert "mac-1" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o600


def kept(user: str = "pymint", top: str = "/srv/mint") -> Kept:
    base = Path(top)
    return Kept(
        "linux-1", user, base / ".venv/bin/python", base / "workers/linux-1/worker", base,
        (base / "workers/linux-1", base / "cache"), "/usr/bin:/bin",
    )  # fmt: skip


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Its own checker reads the whole file; paths that do not exist here are all that it may complain of."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    unit = tmp_path / "pymint-worker-linux-1.service"
    text = systemd_unit(kept()).replace("/srv/mint/.venv/bin/python", "/bin/true").replace("User=pymint", "User=root")
    unit.write_text(text)
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert [line for line in said.stderr.splitlines() if "pymint-worker" in line] == []


def test_the_unit_is_as_tight_as_a_build_lets_it_be() -> None:
    unit = systemd_unit(kept())
    for line in ("User=pymint", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=",
                 "Restart=always", "ReadWritePaths=/srv/mint/workers/linux-1 /srv/mint/cache",
                 "ProtectHome=yes"):  # fmt: skip
        assert f"\n{line}\n" in unit
    for word in ("RestrictNamespaces", "ProtectKernelTunables", "ProtectKernelLogs"):
        assert f"\n{word}" not in unit, "recipes could not make their sandboxes"
    assert "\nProtectHome=read-only\n" in systemd_unit(kept(top="/home/anna/mint"))
    assert "CapabilityBoundingSet" not in systemd_unit(kept(user="root")), "debootstrap needs root's"


def test_paths_with_odd_letters_are_whole_in_unit_and_commands() -> None:
    odd = dataclasses.replace(kept(top="/a place/50% mint"), path="/usr/bin:/some programs/x")
    unit = systemd_unit(odd)
    assert '\nEnvironment="PATH=/usr/bin:/some programs/x"\n' in unit
    assert "\nWorkingDirectory=/a place/50%% mint/workers/linux-1/worker\n" in unit
    assert "%" not in unit.replace("%%", "")
    file = Path("/a place/50% mint/a.service")
    for macos in (False, True):
        assert str(file) in shlex.split(installing(odd, file, macos=macos)[0])


def test_launchd_keeps_it_running_awake_and_as_its_user() -> None:
    said = plistlib.loads(launchd_list(kept()))
    assert said["KeepAlive"] is True
    assert said["UserName"] == "pymint"
    assert said["ProgramArguments"][:3] == ["/usr/bin/caffeinate", "-s", "/srv/mint/.venv/bin/python"]
    assert said["EnvironmentVariables"]["PATH"] == "/opt/homebrew/bin:/usr/bin:/bin"
    assert said["WorkingDirectory"] == "/srv/mint/workers/linux-1/worker"


def test_who_starts_and_ends_it_is_told_the_commands_of_that_system() -> None:
    file = Path("/x/file")
    assert installing(kept(), file, macos=False)[-1] == "sudo systemctl enable --now pymint-worker-linux-1"
    assert "launchctl bootstrap system" in installing(kept(), file, macos=True)[-1]
    assert ending("a", macos=False) == "sudo systemctl disable --now pymint-worker-a"
    assert ending("a", macos=True) == "sudo launchctl bootout system/pymint.worker.a"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mint", ("mint", 1)), ("mint:7", ("mint", 7)), ("10.0.0.5:7", ("10.0.0.5", 7)), ("fd00::5", ("fd00::5", 1)),
        ("[fd00::5]:7", ("fd00::5", 7)), ("[fd00::5]", ("fd00::5", 1)),
    ],
)  # fmt: skip
def test_an_address_may_have_a_port(text: str, found: tuple[str, int]) -> None:
    assert _host_and_port(text, 1) == found
