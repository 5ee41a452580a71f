"""Secrets by name: from a folder, from a real `pass` with a real gpg, and from a Vault on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from master.backup.sealing import passphrase_of
from master.bucket.client import credentials_of
from master.cluster.postgres import password
from master.github.credentials import Speaker, secret_of
from master.home import Home
from master.instance import password_file_of, worker_password
from master.notices.choice import Notices
from master.release.guard import covered
from master.secrets import places, sources
from master.secrets.choice import Secrets, complaint, name_complaints
from master.secrets.named import named, require_all
from master.secrets.places import Keeping, Kept, read, secrets_of
from master.secrets.sources import Pass, Vault
from master.settings import Settings, WorkerSettings, check, parse
from tests.unit import fake_vault, gpg_store
from tests.unit.fake_vault import FakeVault
from tests.unit.gpg_store import Store
from workers.errors import Failure
from workers.model import ROOT, load_matrix

WORD = "Tr0ub4dor&3-of-the-test"
S3 = 'access_key_id = "AKIA"\nsecret_access_key = "s3-key"\n'


@pytest.fixture(autouse=True)
def _knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_KNOWN", {})
    monkeypatch.setattr(sources, "_SIGNED_IN", {})


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    if not gpg_store.INSTALLED:
        pytest.skip(gpg_store.REASON)
    with gpg_store.made() as one:
        one.put("farm/smtp", f"{WORD}\nuser: farm@example.org\n")
        one.put("farm/s3", S3)
        yield one


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with fake_vault.running() as server:
        server.secrets["farm/smtp"] = {"value": WORD, "other": "another", "number": 7}
        server.secrets["farm/s3"] = {"value": S3}
        server.secrets["farm/gone"] = None
        yield server


def private(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def of_pass(store: Store, root: Path) -> Keeping:
    return secrets_of(root, Secrets(kind="pass", directory=str(store.store), gpg_home=str(store.gpg_home),
                                 gpg_passphrase_file=str(store.passphrase_file)))  # fmt: skip


def of_vault(server: FakeVault, root: Path) -> Keeping:
    private(root / "token", f"{fake_vault.TOKEN}\n")
    return secrets_of(root, Secrets(kind="vault", vault_url=server.url, vault_token_file="token"))


def fails(place: places.Place) -> str:
    with pytest.raises(Failure) as told:
        read(place)
    assert WORD not in str(told.value)
    return str(told.value)


def test_a_path_is_a_file_whatever_the_kind_is(store: Store, tmp_path: Path) -> None:
    private(tmp_path / "secrets" / "smtp", f"{WORD}\n")
    for one in (Keeping(tmp_path), of_pass(store, tmp_path)):
        assert read(one.place("secrets/smtp")) == WORD


def test_a_name_is_a_file_of_the_folder_by_default(tmp_path: Path) -> None:
    private(tmp_path / "secrets" / "smtp", WORD)
    private(tmp_path / "own" / "smtp", "another")
    assert read(secrets_of(tmp_path, Secrets()).place("secret:smtp")) == WORD
    chosen = secrets_of(tmp_path, Secrets(directory=str(tmp_path / "own")))
    assert read(chosen.place("secret:smtp")) == "another"
    (tmp_path / "own" / "smtp").chmod(0o644)
    assert "can be read by everyone" in fails(chosen.place("secret:smtp"))


def test_pass_gives_an_entrys_first_line_or_all_of_it(store: Store, tmp_path: Path) -> None:
    place = of_pass(store, tmp_path).place("secret:farm/smtp")
    assert read(place) == WORD
    assert isinstance(place, Kept)
    assert place.text() == f"{WORD}\nuser: farm@example.org"


def test_pass_names_what_is_missing_and_does_not_take_a_folders_list_for_a_secret(store: Store, tmp_path: Path) -> None:
    at = of_pass(store, tmp_path)
    assert "there is no secret 'farm/none'" in fails(at.place("secret:farm/none"))
    assert "there is no secret 'farm'" in fails(at.place("secret:farm")), "pass itself lists it and says 0"


def test_pass_without_the_right_passphrase_says_gpgs_words(store: Store, tmp_path: Path) -> None:
    store.forget()
    wrong = private(tmp_path / "wrong", "not the passphrase")
    said = fails(Kept(Pass(store.store, store.gpg_home, wrong), "farm/smtp"))
    assert "can't be decrypted" in said
    assert "Bad passphrase" in said or "decryption failed" in said
    wrong.chmod(0o644)
    assert "can be read by everyone" in fails(Kept(Pass(store.store, store.gpg_home, wrong), "farm/smtp"))


def test_nothing_secret_is_in_a_command_line_or_an_environment(store: Store, tmp_path: Path) -> None:
    """gpg is replaced by a program that notes how it, and whoever called it, was started, and then is gpg."""
    store.forget()
    noted = tmp_path / "noted"
    tool = tmp_path / "bin" / "gpg"
    tool.parent.mkdir()
    gpg = subprocess.run(["which", "gpg"], capture_output=True, text=True, check=True).stdout.strip()
    tool.write_text(f"#!/bin/sh\ncat /proc/$$/cmdline /proc/$$/environ /proc/$PPID/cmdline /proc/$PPID/environ "
                    f">> {noted}\nexec {gpg} \"$@\"\n")  # fmt: skip
    tool.chmod(0o755)
    (tool.parent / "gpg2").symlink_to(tool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
        assert read(of_pass(store, tmp_path).place("secret:farm/smtp")) == WORD
    said = noted.read_bytes()
    assert b"--passphrase-file" in said, "gpg was seen"
    assert WORD.encode() not in said
    assert gpg_store.PASSPHRASE.encode() not in said


def test_vault_gives_a_field(vault: FakeVault, tmp_path: Path) -> None:
    at = of_vault(vault, tmp_path)
    assert read(at.place("secret:farm/smtp")) == WORD
    assert read(at.place("secret:farm/smtp#other")) == "another"


def test_vault_tells_what_is_missing_from_what_is_not_allowed(vault: FakeVault, tmp_path: Path) -> None:
    at = of_vault(vault, tmp_path)
    for name in ("farm/none", "farm/gone"):
        assert f"there is no secret '{name}'" in fails(at.place(f"secret:{name}"))
    said = fails(at.place("secret:farm/smtp#none"))
    assert "has no such field" in said
    assert "number, other, value" in said
    assert "has no such field" in fails(at.place("secret:farm/smtp#number"))
    private(tmp_path / "token", "hvs.wrong")
    assert "does not give the secret" in (said := fails(at.place("secret:farm/smtp")))
    assert "hvs.wrong" not in said


def test_an_approle_signs_in_once_and_again_when_its_token_is_gone(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.roles["farm"] = "role-secret"
    private(tmp_path / "id", "role-secret\n")
    monkeypatch.setattr(places, "FRESH_S", 0)
    # Nobody's own token is used.
    monkeypatch.setenv("VAULT_TOKEN", fake_vault.TOKEN)
    chosen = Secrets(kind="vault", vault_url=vault.url, vault_role_id="farm", vault_secret_id_file="id")
    place = secrets_of(tmp_path, chosen).place("secret:farm/smtp")
    assert read(place) == read(place) == WORD
    login = "/v1/auth/approle/login"
    assert vault.asked.count(login) == 1
    vault.tokens.clear()
    assert read(place) == WORD, "a token that was taken back is asked for anew"
    assert vault.asked.count(login) == 2
    private(tmp_path / "id", "wrong-id")
    vault.tokens.clear()
    assert "does not give the secret" in (said := fails(place))
    assert "wrong-id" not in said


def test_a_token_that_ended_is_not_used(vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.roles["farm"], vault.lease_s = "role-secret", 0
    private(tmp_path / "id", "role-secret\n")
    monkeypatch.setattr(places, "FRESH_S", 0)
    chosen = Secrets(kind="vault", vault_url=vault.url, vault_role_id="farm", vault_secret_id_file="id")
    place = secrets_of(tmp_path, chosen).place("secret:farm/smtp")
    assert read(place) == read(place) == WORD
    assert vault.asked.count("/v1/auth/approle/login") == 2


def test_a_redirect_takes_no_token_along(vault: FakeVault, tmp_path: Path) -> None:
    with fake_vault.running() as other:
        other.secrets = vault.secrets
        vault.elsewhere = other.url
        fails(of_vault(vault, tmp_path).place("secret:farm/smtp"))
        assert other.asked == []


def test_a_secret_that_changed_is_seen_and_a_silent_vault_stops_nothing(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    place = of_vault(vault, tmp_path).place("secret:farm/smtp")
    assert read(place) == WORD
    vault.secrets["farm/smtp"] = {"value": "changed"}
    assert read(place) == WORD, "not asked again within a minute"
    now[0] += places.FRESH_S
    assert read(place) == "changed"
    now[0] += places.FRESH_S
    vault.sealed = True
    assert read(place) == "changed"
    assert "can't be asked" in fails(of_vault(vault, tmp_path).place("secret:farm/s3"))
    vault.sealed = False
    del vault.secrets["farm/smtp"]
    assert "there is no secret" in fails(place), "one that was taken away is not used on"


@pytest.fixture(params=["pass", "vault"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Keeping:
    if request.param == "pass":
        return of_pass(request.getfixturevalue("store"), tmp_path)
    return of_vault(request.getfixturevalue("vault"), tmp_path)


def test_everything_that_wants_a_secret_takes_one_by_its_name(kept: Keeping) -> None:
    smtp, s3 = kept.place("secret:farm/smtp"), kept.place("secret:farm/s3")
    assert passphrase_of(smtp) == WORD.encode()
    assert password(smtp) == WORD
    assert secret_of(smtp, "token", Speaker("github", "github", "[github] token_file")) == WORD
    assert credentials_of(s3) == {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s3-key"}


def test_a_workers_password_is_had_by_name_and_its_own_file_written(kept: Keeping, vault: FakeVault) -> None:
    home = Home(kept.root, ROOT)
    home.secrets.mkdir(exist_ok=True)
    worker = WorkerSettings("local", ["x86_64-unknown-linux-gnu"], password_file="secret:farm/smtp")
    chosen = _settings(kept)
    assert worker_password(home, worker, chosen.secrets) == WORD
    path = password_file_of(home, chosen, worker)
    assert (path.read_text(), path.stat().st_mode & 0o777) == (WORD, 0o600)


def _settings(kept: Keeping) -> Settings:
    source = kept.source
    if isinstance(source, Vault):
        return Settings(secrets=Secrets(kind="vault", vault_url=source.url, vault_token_file="token"))
    assert isinstance(source, Pass)
    return Settings(secrets=Secrets(kind="pass", directory=str(source.store), gpg_home=str(source.gpg_home),
                                    gpg_passphrase_file=str(source.passphrase_file)))  # fmt: skip


def test_all_that_are_missing_are_named_and_none_is_shown(kept: Keeping) -> None:
    home = Home(kept.root, ROOT)
    there = replace(_settings(kept), notices=Notices(smtp_password_file="secret:farm/smtp"))
    require_all(home, there)
    private(kept.root / "open", WORD).chmod(0o644)
    lacking = replace(
        there, notices=Notices(smtp_password_file="secret:farm/smtp", webhook_secret_file="secret:farm/none"),
        backup=replace(there.backup, passphrase_file="open"),
    )  # fmt: skip
    with pytest.raises(Failure) as told:
        require_all(home, lacking)
    said = str(told.value)
    assert "secrets: 2 of the secrets that settings.toml names can't be had" in said
    assert "[notices] webhook_secret_file = 'secret:farm/none': there is no secret 'farm/none'" in said
    assert "[backup] passphrase_file = 'open': " in said
    assert "smtp" not in said
    assert WORD not in said


def test_a_dry_run_sees_nothing_that_opens_the_secrets(tmp_path: Path) -> None:
    home = Home(tmp_path, ROOT)
    chosen = Settings(
        secrets=Secrets(kind="pass", directory="store", gpg_home="gpg", gpg_passphrase_file="phrase"),
        notices=Notices(smtp_password_file="smtp"),
    )
    what = covered(home, chosen, {"HOME": str(tmp_path)})
    assert {str(tmp_path / one) for one in ("store", "gpg", "secrets")} <= set(what.directories)
    assert {str(tmp_path / one) for one in ("phrase", "smtp")} <= set(what.files)
    vault = Secrets(kind="vault", vault_url="https://v", vault_role_id="r", vault_secret_id_file="id")
    assert str(tmp_path / "id") in covered(home, Settings(secrets=vault), {"HOME": str(tmp_path)}).files


FINE = Secrets(kind="vault", vault_url="https://vault.example:8200", vault_token_file="t")


@pytest.mark.parametrize(
    ("chosen", "key"),
    [
        (Secrets(), None),
        (Secrets(kind="pass", gpg_passphrase_file="p"), None),
        (FINE, None),
        (replace(FINE, vault_url="http://127.0.0.1:8200"), None),
        (replace(FINE, vault_url="http://[::1]:8200"), None),
        (replace(FINE, vault_url="http://localhost:8200"), None),
        (replace(FINE, vault_url="http://vault.example:8200"), "vault_url"),
        (replace(FINE, vault_url="http://localhost.example:8200"), "vault_url"),
        (replace(FINE, vault_url="https://user:word@vault.example"), "vault_url"),
        (replace(FINE, vault_url="https://user@vault.example"), "vault_url"),
        (replace(FINE, vault_url=None), "vault_url"),
        (replace(FINE, vault_token_file=None), "vault_token_file"),
        (replace(FINE, vault_role_id="r"), "vault_token_file"),
        (replace(FINE, vault_token_file=None, vault_role_id="r"), "vault_role_id"),
        (replace(FINE, vault_token_file=None, vault_role_id="r", vault_secret_id_file="s"), None),
        (replace(FINE, directory="d"), "directory"),
        (replace(FINE, gpg_home="g"), "gpg_home"),
        (Secrets(vault_url="https://v"), "vault_url"),
        (Secrets(kind="pass", vault_role_id="r"), "vault_role_id"),
        (Secrets(kind="pass", gpg_passphrase_file="a b"), "gpg_passphrase_file"),
    ],
)
def test_what_can_not_be_is_refused(chosen: Secrets, key: str | None) -> None:
    found = complaint(chosen)
    assert (found and found.key) == key
    assert found is None or "word" not in f"{found.what}{found.wanted}{found.found}"


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc/passwd", "", "a//b", "a b", "-x", "a\n", "a/", "a;b"])
def test_a_name_leads_nowhere_else(name: str) -> None:
    assert name_complaints({("notices", "smtp_password_file"): f"secret:{name}"}, "pass")


def test_only_vault_has_fields() -> None:
    one = {("notices", "smtp_password_file"): "secret:a/b#c"}
    assert name_complaints(one, "vault") == []
    assert name_complaints(one, "pass")
    assert name_complaints({("backup", "passphrase_file"): "secret:a.b@c/d_e-f"}, "files") == []


def test_a_wrong_name_is_told_with_its_line() -> None:
    text = '[notices]\nwebhook_secret_file = "secret:../x"\n'
    with pytest.raises(Failure, match=r"settings.toml:2: \[notices\] webhook_secret_file: this is no name of a secret"):
        check(parse(text, Path("settings.toml")), load_matrix(), Path("settings.toml"), text)


def test_every_setting_that_names_a_secrets_file_is_known_here() -> None:
    """A new one is found by its name: `…_file` of a setting that holds a secret."""
    others = {
        "htpasswd_file",
        "ca_file",
        "s3_ca_file",
        "vault_ca_file",
        "vault_token_file",
        "vault_secret_id_file",
        "gpg_passphrase_file",
    }
    text = (ROOT / "docs" / "settings.md").read_text().partition("```toml\n")[2].partition("```")[0]
    keys = {line.split(" = ")[0].lstrip("# ") for line in text.splitlines() if " = " in line}
    wanted = {one for one in keys if one.endswith("_file")} - others
    full = Settings(
        workers=[WorkerSettings("a", [], password_file="x")], database=replace(Settings().database, password_file="x"),
        access=replace(Settings().access, github_client_secret_file="x"),
        signing=replace(Settings().signing, pin_file="x"),
        release=replace(Settings().release, github_token_file="x", s3_credentials_file="x"),
        notices=Notices(smtp_password_file="x", webhook_secret_file="x"),
        backup=replace(Settings().backup, passphrase_file="x"),
        github=replace(Settings().github, token_file="x", webhook_secret_file="x"),
        store=replace(Settings().store, bucket="x", credentials_file="x"),
    )  # fmt: skip
    assert wanted - {key for _, key in named(full)} == set()
    assert {"smtp_password_file", "pin_file", "token_file"} <= wanted


def test_vault_without_its_client_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvac", None)  # what an import finds then is that there is none
    monkeypatch.delitem(sys.modules, "hvac.exceptions", raising=False)
    private(tmp_path / "token", "t")
    chosen = Secrets(kind="vault", vault_url="http://127.0.0.1:1", vault_token_file="token")
    assert "pip install 'hvac" in fails(secrets_of(tmp_path, chosen).place("secret:smtp"))
