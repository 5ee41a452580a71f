"""`./mint worker`: who builds. `invite` and the rest on the master's machine, `create` and `run` on the worker's."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import time
from pathlib import Path

import click

from master import instance
from master import settings as farm_settings
from master.cli import daemons, processes
from master.cli.build import running_master
from master.cli.context import CHECKOUT, Farm, this_farm
from master.cli.rest import Refused, Rest, SignInFirst
from master.cli.signing_in import user_option
from master.cli.unit import Kept, ending, installing, launchd_list, systemd_unit
from master.cli.worker_views import Hand, hand_named, hands_of, lines_of
from master.fleet import inviting, joining
from master.fleet.invitation import Invitation, read, text_of
from master.home import cache_directory, write_file
from workers.errors import Failure
from workers.fitness import examine, one_line
from workers.machine import native_target, runs_macos
from workers.progress import seconds

RECONFIGURED_S = 300.0  # 2 s on an idle machine; one that compiles on all processors takes many times that
RETIRED = "retired"


@click.group()
def worker() -> None:
    """Workers: invite one here, create it on its machine; list, pause, resume and retire them. docs/workers.md."""


@worker.command()
@click.argument("name")
@click.option("--target", "targets", multiple=True, help="What it builds; needed when settings.toml does not name it.")
@click.option("--host", help="By what name or address it reaches this machine; by default the first of [protocol].")
@click.option("--disk-gb", type=float, help="Free space that it has to have; by default [watch] disk_gb.")
@click.option("--new-password", is_flag=True, help="Shuts out whoever has the old line.")
def invite(name: str, targets: tuple[str, ...], host: str | None, disk_gb: float | None, new_password: bool) -> None:
    """On the master: prints the line that NAME is created with on its machine. It holds a password: keep it so."""
    farm = this_farm()
    settings = farm.settings
    found = inviting.named(settings, name)
    if found is None:
        asked = inviting.asked_for(name, list(targets), disk_gb)
        settings = inviting.add_worker(farm.home, farm.matrix, settings, asked)
        found = inviting.named(settings, name) or asked
        click.echo(f"{farm.home.settings_file}: added the worker {name} for {', '.join(found.targets)}", err=True)
    elif targets or disk_gb is not None:
        click.echo(f"{name} is in {farm.home.settings_file} already: change it there.", err=True)
    if new_password:
        inviting.new_password(farm.home, found)
    invitation = inviting.invitation_of(farm.home, settings, found, host)
    _take_up(farm, name)
    if not invitation.authority:
        reach = "only this machine reaches it" if farm_settings.is_loopback(settings.protocol.interface) else "no TLS"
        click.echo(f"warning: plain text, {reach}. For others: [protocol] in docs/workers.md.", err=True)
    click.echo(f"On the machine of {name}, in a checkout: ./mint worker create, and give it this line:\n", err=True)
    click.echo(text_of(invitation))


def _take_up(farm: Farm, name: str) -> None:
    """Has a running master read its settings again; what it builds goes on. Says when that needs a restart."""
    master = daemons.master_daemon(farm.home).running()
    if master is None:
        return
    os.kill(master.pid, signal.SIGHUP)
    rest = Rest(farm.api)

    def configured() -> bool:
        return any(row["configured_on"] for row in rest.rows("workers", "workers", name=name))

    try:
        waits = processes.wait_until(configured, RECONFIGURED_S, pause=0.3)
    except SignInFirst:
        click.echo("The master reads its settings again; ./mint worker list --user NAME says whether it has.", err=True)
        return
    if waits:
        click.echo(f"The master waits for {name}.", err=True)
    else:
        click.echo("The master has not taken it up: ./mint down, ./mint up; master/twistd.log says why.", err=True)


@worker.command()
@click.option("--master", help="HOST[:PORT], where the line's is not the one that this machine reaches it by.")
@click.option("--name", help="Refuses a line that is for another worker.")
@click.option(
    "--invitation", type=click.File(), help="A file with the line, - for standard input; else it is asked for."
)
@click.option("--user", default=getpass.getuser, help="As whom it runs; by default as you.")
@click.option("--install", is_flag=True, help="As root: have it started now and at each boot.")
def create(master: str | None, name: str | None, invitation: click.File | None, user: str, install: bool) -> None:
    """On the worker's machine: makes a worker from the line of `./mint worker invite`, and says how it is started."""
    farm = this_farm()
    if native_target() is None:
        raise Failure(
            "worker", "this machine is none of the targets' own kind", wanted="Linux on x86_64 or ARM64, or a Mac with "
            "Apple silicon", found=" ".join(os.uname()[i] for i in (0, 4)), todo="Create it on such a machine.",
        )  # fmt: skip
    invited = _invitation(invitation.read() if invitation is not None else None, master, name)  # type: ignore[attr-defined]
    how = joining.try_master(invited)
    click.echo(f"✓ the master answers at {invited.host}:{invited.port} ({how})")
    place = joining.place_of(farm.home, invited.name)
    joining.make_directory(place, invited, CHECKOUT, admin=f"{user}@{os.uname().nodename}")
    fitness = examine([place.state, cache_directory()], invited.disk_gb, place.state / "tools.json")
    click.echo(f"{'✗' if fitness.problems else '✓'} {one_line(fitness)}")
    for problem in fitness.problems[1:]:
        click.echo(f"✗ {problem}")
    if fitness.problems:
        click.echo("  It may be created all the same, but gets no build before that is mended.")
    kept = Kept(
        name=invited.name,
        user=user,
        python=Path(sys.executable),
        directory=place.base,
        checkout=CHECKOUT,
        writable=(place.directory, cache_directory()),
        path=os.environ.get("PATH", os.defpath),
    )
    cache_directory().mkdir(parents=True, exist_ok=True)
    file = place.directory / (f"pymint.worker.{kept.name}.plist" if runs_macos() else f"{kept.label}.service")
    write_file(file, launchd_list(kept) if runs_macos() else systemd_unit(kept).encode())
    joining.give_to(place, user)
    click.echo(f"✓ {place.directory}, which belongs to {user}")
    commands = installing(kept, file, macos=runs_macos())
    if install:
        _install(commands)
    else:
        click.echo("\nTo have it started now and at each boot:")
        for command in commands:
            click.echo(f"  {command}")
        click.echo(f"To try it first, until Ctrl-C: ./mint worker run {kept.name}")


def _invitation(text: str | None, master: str | None, name: str | None) -> Invitation:
    if text is None:
        if not sys.stdin.isatty():
            raise click.UsageError("give the line with --invitation FILE, or - for standard input")
        text = click.prompt("The line that ./mint worker invite printed", hide_input=True)
    found = read(text)
    if name is not None and name != found.name:
        raise Failure(
            "worker", "the line is for another worker", wanted=name, found=found.name,
            todo=f"On the master: ./mint worker invite {name}",
        )  # fmt: skip
    if master is None:
        return found
    host, port = _host_and_port(master, found.port)
    return Invitation(host, port, found.name, found.password, found.authority, found.disk_gb)


def _host_and_port(text: str, port: int) -> tuple[str, int]:
    """`host`, `host:port`, `[address]:port`, `address` with colons."""
    host, colon, said = text.rpartition(":")
    if text.startswith("[") or (colon and ":" not in host):
        if text.endswith("]"):
            return text.strip("[]"), port
        if not said.isdigit():
            raise click.UsageError(f"--master: {text!r} is not HOST[:PORT]")
        return host.strip("[]"), int(said)
    return text, port


def _install(commands: list[str]) -> None:
    if os.geteuid() != 0:
        raise Failure("worker", "only root can have it started at each boot", todo="\n".join(commands))
    for command in commands:
        code = os.spawnvp(os.P_WAIT, "sh", ["sh", "-c", command.removeprefix("sudo ")])
        if code:
            raise Failure("worker", f"this command ended with {code}", found=command, todo="Its own words are above.")
    click.echo("✓ started, and at each boot from now on")


@worker.command()
@click.argument("name")
def run(name: str) -> None:
    """On the worker's machine: runs NAME until Ctrl-C."""
    place = joining.place_of(this_farm().home, name)
    if not (place.base / "worker.toml").exists():
        raise Failure(
            "worker", f"there is no worker {name!r} on this machine", wanted=str(place.base / "worker.toml"),
            todo="Create it: ./mint worker create; or on the master: ./mint worker list",
        )  # fmt: skip
    click.echo(f"{name} runs; its log: {place.base / 'twistd.log'}")
    os.chdir(place.base)
    os.execv(sys.executable, instance.twistd_arguments(Path(sys.executable)))


@worker.command("list")
@user_option
def list_(user: str | None) -> None:
    """On the master: each worker, what it does, how it is, and what happened to it last."""
    farm = this_farm()
    for line in lines_of(hands_of(farm, running_master(farm, user)), time.time()):
        click.echo(line)


@worker.command()
@click.argument("name")
@click.option("--reason", default="", help="Shown on its page and in the list.")
@user_option
def pause(name: str, reason: str, user: str | None) -> None:
    """On the master: NAME finishes what it builds and gets nothing new until it is resumed, over restarts too."""
    farm = this_farm()
    rest = running_master(farm, user)
    hand = _paused(farm, rest, hand_named(farm, rest, name), reason or "paused by hand")
    click.echo(f"{name} gets no new build" + (f"; it finishes {_building(hand)}" if hand.builds else ""))


@worker.command()
@click.argument("name")
@user_option
def resume(name: str, user: str | None) -> None:
    """On the master: NAME gets builds again."""
    farm = this_farm()
    rest = running_master(farm, user)
    hand = hand_named(farm, rest, name)
    rest.control(f"workers/{hand.id}", "unpause", reason="./mint worker resume")
    processes.wait_until(lambda: not hand_named(farm, rest, name).paused, 10)
    click.echo(f"{name} gets builds" + ("" if hand.connected else " as soon as it connects"))


@worker.command()
@click.argument("name")
@click.option("--wait/--no-wait", default=True, help="Wait until it has finished what it builds.")
@user_option
def retire(name: str, wait: bool, user: str | None) -> None:
    """On the master: NAME finishes what it builds, gets nothing new, and it is said when it can be switched off."""
    farm = this_farm()
    rest = running_master(farm, user)
    hand = _paused(farm, rest, hand_named(farm, rest, name), RETIRED)
    began = time.monotonic()
    if hand.builds and not wait:
        click.echo(
            f"NOT yet to be switched off: {name} finishes {_building(hand)}. Ask again: ./mint worker retire {name}"
        )
        sys.exit(3)
    said = ""
    while hand.builds:
        if said != (said := _building(hand)):
            click.echo(f"{name} finishes {said} ...")
        time.sleep(1)
        hand = hand_named(farm, rest, name)
    after = f" after {seconds(time.monotonic() - began)}" if said else ""
    macos = any("darwin" in target for target in hand.targets)
    click.echo(
        f"{name} builds nothing{after} and gets nothing: it can be switched off now.\n"
        f"  on its machine:  {ending(name, macos=macos)}\n"
        f"  then here:       take its [[workers]] out of {farm.home.settings_file}, and ./mint down, ./mint up"
    )


def _paused(farm: Farm, rest: Rest, hand: Hand, reason: str) -> Hand:
    """Pauses it; what it builds once that holds, so that no build slips in between."""
    rest.control(f"workers/{hand.id}", "pause", reason=reason)
    if not processes.wait_until(lambda: hand_named(farm, rest, hand.name).paused, 10):
        raise Refused("worker", f"{hand.name} was not paused", todo="master/twistd.log says why; try again.")
    time.sleep(0.5)  # a build that was being handed out at that moment shows up
    return hand_named(farm, rest, hand.name)


def _building(hand: Hand) -> str:
    return ", ".join(f"build {one}" for one in hand.builds)
