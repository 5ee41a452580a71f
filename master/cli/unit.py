"""How a worker is kept running: systemd's unit on Linux, launchd's list on a Mac. Texts, from values."""

from __future__ import annotations

import plistlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from master.instance import twistd_arguments

HOMEBREW = "/opt/homebrew/bin"


@dataclass(frozen=True)
class Kept:
    """A worker that is to be kept running. directory: where its buildbot.tac lies; writable: what it may write."""

    name: str
    user: str
    python: Path
    directory: Path
    checkout: Path
    writable: tuple[Path, ...]
    path: str

    @property
    def label(self) -> str:
        return f"pymint-worker-{self.name}"


def systemd_unit(kept: Kept) -> str:
    """Hardened as far as a build lets it be: recipes make namespaces and mounts of their own, so those stay allowed.

    RestrictNamespaces and SystemCallFilter are left out for that; ProtectKernelTunables and ProtectKernelLogs, because
    with parts of /proc covered the kernel refuses a sandbox its own; RestrictSUIDSGID, because CPython's tests set such
    bits, which NoNewPrivileges makes idle.
    """
    command = " ".join(f'"{part}"' if " " in part else part for part in twistd_arguments(kept.python))
    # Root without its capabilities is nobody; who runs a worker as root wants debootstrap (docs/fips.md).
    capabilities = "" if kept.user == "root" else "CapabilityBoundingSet=\nAmbientCapabilities=\n"
    writable = " ".join(f'"{path}"' if " " in str(path) else str(path) for path in kept.writable)
    text = f"""\
# Written by `./mint worker create`. docs/workers.md says why each line is there.
[Unit]
Description=pymint worker {kept.name}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={kept.user}
WorkingDirectory={kept.directory}
Environment="PATH={kept.path}"
ExecStart={command}
Restart=always
RestartSec=10
KillMode=control-group
TimeoutStopSec=60
# A compiler that takes all memory is ended, not the worker that tells of it.
OOMPolicy=continue
OOMScoreAdjust=-100
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={writable}
PrivateTmp=yes
ProtectHome={"read-only" if _below_home(kept) else "yes"}
ProtectClock=yes
ProtectHostname=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictRealtime=yes
LockPersonality=yes
{capabilities}UMask=0027
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""
    return text.replace("%", "%%")  # as units write a percent sign


def _below_home(kept: Kept) -> bool:
    """Where code or state lies in a home directory, homes have to be seen at least."""
    homes = ("/home/", "/root/", "/run/user/")
    return any(f"{path}/".startswith(homes) for path in (kept.checkout, kept.directory, *kept.writable))


def with_homebrew(path: str) -> str:
    """Homebrew keeps what recipes call where neither launchd's own PATH nor every shell's looks."""
    return path if HOMEBREW in path.split(":") else f"{HOMEBREW}:{path}"


def launchd_list(kept: Kept) -> bytes:
    """KeepAlive, as its own user, and no sleep while it runs: `caffeinate -s` holds the Mac awake on mains power."""
    return plistlib.dumps(
        {
            "Label": f"pymint.worker.{kept.name}",
            "UserName": kept.user,
            "WorkingDirectory": str(kept.directory),
            "ProgramArguments": ["/usr/bin/caffeinate", "-s", *twistd_arguments(kept.python)],
            "EnvironmentVariables": {"PATH": with_homebrew(kept.path)},
            "RunAtLoad": True,
            "KeepAlive": True,
            "ThrottleInterval": 30,
            "ExitTimeOut": 60,
            "ProcessType": "Standard",
            "Umask": 0o027,
            "SoftResourceLimits": {"NumberOfFiles": 8192},
            "StandardErrorPath": str(kept.directory / "output.log"),
            "StandardOutPath": str(kept.directory / "output.log"),
        }
    )


def installing(kept: Kept, file: Path, *, macos: bool) -> list[str]:
    """The commands that have it started now and at each boot."""
    if macos:
        place = f"/Library/LaunchDaemons/pymint.worker.{kept.name}.plist"
        return [
            f"sudo install -o root -g wheel -m 644 {shlex.quote(str(file))} {place}",
            f"sudo launchctl bootstrap system {place}",
        ]
    place = f"/etc/systemd/system/{kept.label}.service"
    return [
        f"sudo install -m 644 {shlex.quote(str(file))} {place}",
        "sudo systemctl daemon-reload",
        f"sudo systemctl enable --now {kept.label}",
    ]


def ending(name: str, *, macos: bool) -> str:
    """The command that ends a worker for good."""
    if macos:
        return f"sudo launchctl bootout system/pymint.worker.{name}"
    return f"sudo systemctl disable --now pymint-worker-{name}"
