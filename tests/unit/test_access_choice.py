"""`[access]` and `[login]`: what is refused, by line and key, and the files of passwords."""

from __future__ import annotations

import tomllib
from pathlib import Path

import bcrypt
import pytest

from master import settings
from master.access import __main__ as printing
from master.access.choice import Access
from master.access.passwords import PasswordFile, hash_of, matches, read_htpasswd
from master.access.web import Login
from master.settings import check, parse
from workers.errors import Failure
from workers.model import load_matrix

Capture = pytest.CaptureFixture[str]
HASH = hash_of("right")
GITHUB = 'github_organization = "example"\ngithub_client_id = "i"\ngithub_client_secret_file = "s"\n'


def refusal(toml: str) -> str:
    path = Path("settings.toml")
    with pytest.raises(Failure) as caught:
        check(parse(toml, path), load_matrix(), path, toml)
    return str(caught.value)


@pytest.mark.parametrize(
    ("toml", "place", "said"),
    [
        ('[access]\nread = "login"\n', "settings.toml:2: [access] read", "nobody could sign in"),
        ('[access]\nbuilders = ["anna"]\n', "settings.toml:2: [access] builders", "nobody could sign in"),
        (f'[access]\nadmins = ["ana"]\n[login.users]\nanna = "{HASH}"\n', ":2: [access] admins", "no user 'ana'"),
        (
            f'[access]\nadmins = ["@t"]\n[login.users]\nanna = "{HASH}"\n',
            ":2: [access] admins",
            "no teams without GitHub",
        ),
        (f'[access]\n{GITHUB}admins = ["@A b"]\n', ":5: [access] admins", "no team"),
        ('[access]\ngithub_organization = "example"\n', "[access] github_client_id", "needs it"),
        (f"[access]\n{GITHUB.replace('example', 'a/b')}", ":2: [access] github_organization", "no organisation"),
        (f'[access]\n{GITHUB}github_url = "x"\n', ":5: [access] github_url", "no address"),
        (f'[access]\n{GITHUB}htpasswd_file = "x"\n', ":2: [access] github_organization", "two ways to sign in"),
        (f'[access]\nhtpasswd_file = "x"\n[login.users]\nanna = "{HASH}"\n', ":2: [access] htpasswd_file", "two ways"),
        ('[login.users]\nanna = "secret"\n', "settings.toml:2: [login.users] anna", "no hash of a password"),
        ('[release]\nreleasers = ["anna"]\n', "settings.toml:2: [release] releasers", "[access] releasers"),
        ('[web]\ninterface = "0.0.0.0"\n', "settings.toml:2: [web] interface", "let anyone in the network"),
    ],
)
def test_what_can_not_be_is_refused_by_line_and_key(toml: str, place: str, said: str) -> None:
    text = refusal(toml)
    assert place in text
    assert said in text
    assert "secret" not in text.replace("client_secret", "")


def test_without_lists_everybody_who_signs_in_may_do_everything_as_before_there_were_any() -> None:
    assert set(map(tuple, Access().lists().values())) == {("*",)}
    path = Path("settings.toml")
    for toml in ("", f'[login.users]\nanna = "{HASH}"\n', f'[web]\ninterface = "0.0.0.0"\n[access]\n{GITHUB}'):
        check(parse(toml, path), load_matrix(), path, toml)
    assert settings.parse("[access]\nbuilders = []\n", path).access.lists()["builder"] == []


def htpasswd(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o640)
    return path


def test_bcrypt_and_scrypt_are_taken_and_compared(tmp_path: Path) -> None:
    crypted = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")  # as htpasswd -B writes it
    found = read_htpasswd(htpasswd(tmp_path / "p", "# people", "", f"anna:{crypted}", f"otto:{HASH}"))
    assert [matches("right", found[name]) for name in ("anna", "otto")] == [True, True]
    assert [matches("wrong", found[name]) for name in ("anna", "otto")] == [False, False]
    assert not matches("x" * 73, crypted)
    assert not matches("right", f"$2b$99${'a' * 53}"), "bcrypt has no such cost, and says so with an error"
    assert not matches("right", "plain")
    assert not matches("", "")


def test_a_name_that_nobody_has_costs_as_much_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[str] = []

    def right(word: str, wanted: str) -> bool:
        held.append(wanted)
        return True

    monkeypatch.setattr("master.access.web.matches", right)
    crypted = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    assert not Login(lambda: {"anna": crypted}).check_credentials(b"mallory", b"right")
    assert held == [crypted], "not scrypt, which takes longer"


def test_the_lines_for_a_user_are_toml_whatever_the_name(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("getpass.getpass", lambda: "right")
    assert printing.main(["anna.b c"]) == 0
    users = tomllib.loads(capsys.readouterr().out)["login"]["users"]
    assert matches("right", users["anna.b c"])
    assert printing.main([]) == 1
    assert "usage" in capsys.readouterr().err
    monkeypatch.setattr("getpass.getpass", lambda: "")
    assert printing.main(["anna"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "said", ["$apr1$abcdefgh$0123456789abcdefghijkl", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "right", ""]
)
def test_weak_hashes_are_refused_and_never_shown(tmp_path: Path, said: str) -> None:
    with pytest.raises(Failure) as caught:
        read_htpasswd(htpasswd(tmp_path / "p", f"anna:{said}"))
    assert "line 1: the hash of 'anna'" in str(caught.value)
    assert not said or said not in str(caught.value)


def test_a_file_that_all_may_read_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    open_file = htpasswd(tmp_path / "p", f"anna:{HASH}")
    open_file.chmod(0o644)
    for path, said in ((open_file, "can be read by everyone"), (tmp_path / "none", "can't be read")):
        with pytest.raises(Failure, match=said):
            read_htpasswd(path)
    with pytest.raises(Failure, match="twice"):
        read_htpasswd(htpasswd(tmp_path / "q", f"anna:{HASH}", f"anna:{HASH}"))


def test_who_is_taken_out_of_the_file_is_out_at_once_and_a_spoiled_file_lets_nobody_in(tmp_path: Path) -> None:
    file = PasswordFile(htpasswd(tmp_path / "p", f"anna:{HASH}", f"otto:{HASH}"))
    assert set(file.users()) == {"anna", "otto"}
    htpasswd(tmp_path / "p", f"otto:{HASH}")
    assert set(file.users()) == {"otto"}
    htpasswd(tmp_path / "p", "otto:plain")
    for _ in range(2):
        with pytest.raises(Failure):
            file.users()
    (tmp_path / "p").unlink()
    with pytest.raises(Failure, match="gone"):
        file.users()
