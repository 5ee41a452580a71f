"""What a dry run can not do, in real processes: by the kernel where it lends a hand, and by the process itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from master.home import Home
from master.release import guard
from master.release.enclosure import Covered
from master.settings import Settings, parse
from workers.model import ROOT

needs_namespaces = pytest.mark.skipif(guard.namespaces() is None, reason="this machine lets no namespaces be made")

PROGRAM = """
import io, json, os, socket, sys
from pathlib import Path
from master.home import Home
from master.release import guard
from master.release.enclosure import Covered
from master.settings import load
from workers.errors import Failure
from workers.model import ROOT, load_matrix

home = Home(Path(sys.argv[1]), ROOT)
mode, what, value = sys.argv[2:]
settings = load(home, load_matrix())
if mode == "kernel":
    guard.confine(home, settings, ["-c", os.environ["PYMINT_PROGRAM"], *sys.argv[1:]])
    # What the process refuses by itself would hide what the kernel does: read and connect by another program.
    import subprocess
    program = {"read": f"cat {value}", "connect": f"exec 3<>/dev/tcp/{value.replace(':', '/')}", "list": f"ls {value}",
               "environment": "env"}[what]
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    print(done.returncode, (done.stdout + done.stderr).strip())
else:
    guard.refuse_by_itself(guard.covered(home, settings))
    try:
        if what == "read":
            print("read", Path(value).read_text())
        elif what == "bytes":
            print("read", os.open(os.fsencode(value), os.O_RDONLY))
        elif what == "path":
            print("read", io.FileIO(Path(value)).read())
        elif what == "socket":
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(value)
            print("connected")
        elif what in ("sendto", "sendmsg"):
            address = (value, 9)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.sendto(b"x", address) if what == "sendto" else one.sendmsg([b"x"], [], 0, address)
                one.connect(("127.0.0.1", 9))
                one.sendmsg([b"x"])
            print("sent")
        else:
            host, _, port = value.rpartition(":")
            socket.create_connection((host, int(port)), timeout=3)
            print("connected")
    except (Failure, OSError) as error:
        print("refused", error)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home", ROOT)
    for directory in (made.keys, made.secrets):
        directory.mkdir(parents=True, mode=0o700)
    for name in ("farm.pem", "farm-ca.pem", "dry-run.pem"):
        (made.keys / name).write_text(f"secret of {name}")
        (made.keys / name).chmod(0o600)
    for name in ("farm.pub", "farm-ca.crt", "keys.json"):
        (made.keys / name).write_text("public")
    (made.secrets / "worker-local").write_text("password")
    (made.root / "token").write_text("token of the place")
    (made.root / "elsewhere.pem").write_text("secret elsewhere")
    made.settings_file.write_text(
        '[release]\nplaces = ["github"]\ngithub_repository = "a/b"\ngithub_token_file = "token"\n'
        '[signing]\nkey = "file2:elsewhere.pem"\n'
    )
    return made


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield int(one.getsockname()[1])


def run(home: Home, *arguments: str) -> str:
    environment = {**os.environ, "PYMINT_PROGRAM": PROGRAM, "GITHUB_TOKEN": "token of the environment"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home.root), *arguments], cwd=ROOT, env=environment, capture_output=True,
        text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SECRETS = ("keys/farm.pem", "keys/farm-ca.pem", "secrets/worker-local", "token", "elsewhere.pem")
PUBLIC = ("keys/farm.pub", "keys/farm-ca.crt", "keys/keys.json", "keys/dry-run.pem")


@needs_namespaces
@pytest.mark.parametrize("name", SECRETS)
def test_no_program_that_a_dry_run_starts_reads_a_secret(home: Home, name: str) -> None:
    assert (home.root / name).read_text()
    again = f"; umount -l {home.root / name} {home.keys} {home.secrets}; cat {home.root / name}"
    said = run(home, "kernel", "read", str(home.root / name) + again)
    assert not [word for word in ("secret of", "secret elsewhere", "password", "token of") if word in said], said


@needs_namespaces
def test_a_dry_run_has_its_own_key_and_what_is_public(home: Home) -> None:
    for name in PUBLIC:
        assert run(home, "kernel", "read", str(home.root / name)).startswith("0 "), name
    listed = run(home, "kernel", "list", str(home.keys)).split()[1:]
    assert sorted(f"keys/{name}" for name in listed) == sorted(PUBLIC)
    assert (home.keys / "farm.pem").read_text() == "secret of farm.pem", "outside nothing has changed"


@needs_namespaces
def test_no_program_that_a_dry_run_starts_reaches_another_machine(home: Home, listening: int) -> None:
    assert "unreachable" in run(home, "kernel", "connect", "192.0.2.1:80")
    # Not even this machine's own services: the loopback is one of its own, which is up.
    assert "refused" in run(home, "kernel", "connect", f"127.0.0.1:{listening}")


@needs_namespaces
def test_tokens_in_the_environment_are_left_out(home: Home) -> None:
    said = run(home, "kernel", "environment", "")
    assert "PATH=" in said
    assert "token of the environment" not in said


@pytest.mark.parametrize("name", SECRETS)
def test_without_namespaces_the_process_refuses_to_read_a_secret(home: Home, name: str) -> None:
    said = run(home, "itself", "read", str(home.root / name))
    assert said.startswith(f"refused release: a dry run does not read {Path(name).name}")


@pytest.mark.parametrize("way", ["bytes", "path"])
def test_without_namespaces_a_secret_is_refused_however_its_path_is_written(home: Home, way: str) -> None:
    said = run(home, "itself", way, str(home.root / "token"))
    assert said.startswith("refused release: a dry run does not read token"), said


def test_a_key_of_the_farm_is_none_of_the_dry_run_for_having_that_in_its_name() -> None:
    for name in ("own-dry-run.pem", "farm-dry-run-ca.pem", "farm.pem", "keys.json.pem"):
        assert not guard.for_a_dry_run(name), name
    for name in ("dry-run.pem", "dry-run-ca.pem", "own-dry-run.pub", "farm-ca.crt", "trusted_root.jsonl"):
        assert guard.for_a_dry_run(name), name


def test_without_namespaces_the_process_reads_the_rest(home: Home) -> None:
    for name in PUBLIC:
        assert run(home, "itself", "read", str(home.root / name)).startswith("read "), name


def test_without_namespaces_the_process_connects_to_loopback_only(home: Home, listening: int) -> None:
    assert run(home, "itself", "connect", f"127.0.0.1:{listening}") == "connected"
    said = run(home, "itself", "connect", "192.0.2.1:80")
    assert said.startswith("refused release: a dry run opens no connection to another machine")


@pytest.mark.parametrize("way", ["sendto", "sendmsg"])
def test_without_namespaces_a_datagram_reaches_loopback_only(home: Home, way: str) -> None:
    assert run(home, "itself", way, "127.0.0.1") == "sent"
    said = run(home, "itself", way, "192.0.2.1")
    assert said.startswith("refused release: a dry run opens no connection to another machine"), said


def test_without_namespaces_no_socket_of_another_program_is_reached(home: Home) -> None:
    """An ssh agent or Docker would do for it what it must not do itself."""
    path = home.root / "agent"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        agent.listen()
        said = run(home, "itself", "socket", str(path))
    assert said.startswith("refused release: a dry run talks to no other program of this machine"), said


def test_a_link_to_a_secret_is_no_way_around(home: Home) -> None:
    (home.root / "innocent").symlink_to(home.keys / "farm.pem")
    assert run(home, "itself", "read", str(home.root / "innocent")).startswith("refused")


def test_what_is_covered_is_what_the_settings_name_and_where_clients_look(tmp_path: Path) -> None:
    text = (
        '[release]\ns3_credentials_file = "/etc/s3"\n[store]\nbucket = "b"\ncredentials_file = "/etc/store"\n'
        '[signing]\nkey = "hsm:2"\npin_file = "pin"\n'
        '[[workers]]\nname = "local"\ntargets = ["x86_64-unknown-linux-gnu"]\npassword_file = "/etc/word"\n'
    )
    settings: Settings = parse(text, tmp_path / "settings.toml")
    user = tmp_path / "user"
    (user / ".aws").mkdir(parents=True)
    for name in (".netrc", "elsewhere"):
        (user / name).touch()
    environment = {"HOME": str(user), "AWS_CONFIG_FILE": str(user / "elsewhere"), "NETRC": str(user / "gone")}
    found = guard.covered(Home(tmp_path, ROOT), settings, environment)
    assert found == Covered(
        str(tmp_path / "keys"),
        [str(tmp_path / "secrets"), str(user / ".aws")],
        [str(tmp_path / "pin"), "/etc/s3", "/etc/store", "/etc/word", str(user / ".netrc"), str(user / "elsewhere")],
    )


def test_a_stage_gets_of_the_environment_what_it_is_known_to_need() -> None:
    said = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "MINT_HOME": "/h",
        "MINT_PASSWORD": "x",
        "SSH_AUTH_SOCK": "/s",
        "DB_PASS": "x",
    }
    assert guard.kept(said) == {"PATH": "/bin", "LC_ALL": "C", "MINT_HOME": "/h"}


def test_bound_sockets_are_read_from_what_the_kernel_lists() -> None:
    listed = (
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000: 00000002 00000000 00010000 0001 01 1 /run/a socket\n"
        "0000: 00000002 00000000 00010000 0001 01 2 @abstract\n"
        "0000: 00000003 00000000 00000000 0001 03 3\n"
    )
    assert guard.sockets(listed) == ["/run/a socket"]


@needs_namespaces
def test_what_is_sealed_writes_to_one_directory_and_can_not_undo_it(home: Home, tmp_path: Path) -> None:
    own = home.root / "run"
    program = (
        f"touch {own}/here && echo one; touch {home.root}/there && echo two; touch /var/tmp/anywhere-{os.getpid()} && "
        f"echo three; echo t > /tmp/mine-{os.getpid()} && echo seven; ls /tmp; echo $TMPDIR; "
        f"mount -o remount,rw / ; umount -l {home.keys}; cat {home.keys}/farm.pem; "
        f"cat /proc/{os.getpid()}/root{home.keys}/farm.pem; echo x > /dev/null && echo four; "
        "echo y > /dev/shm/z && echo five; unshare --user --map-root-user true && echo six"
    )
    code = PROGRAM.replace("*sys.argv[1:]])", '*sys.argv[1:]], Path(os.environ["PYMINT_SEALED"]))')
    code = code.replace('f"cat {value}"', 'os.environ["PYMINT_SHELL"]')
    environment = {**os.environ, "PYMINT_PROGRAM": code, "PYMINT_SEALED": str(own), "PYMINT_SHELL": program}
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.root), "kernel", "read", ""], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "0 one" in lines, done.stdout
    assert str(own) in lines
    assert {"two", "three"} & set(lines) == set()
    assert {"four", "five", "six", "seven"} <= set(lines), done.stdout
    assert "secret" not in done.stdout
    assert (own / "here").exists()
    assert (own / "tmp" / f"mine-{os.getpid()}").exists()
    assert not Path(f"/tmp/mine-{os.getpid()}").exists()
