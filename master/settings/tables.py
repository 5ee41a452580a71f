"""The sections of settings.toml as dataclasses. Every default works.

A section that belongs to one subject alone stands with it, in the `choice.py` of its package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from master.access.choice import Access
from master.bucket.choice import StoreSettings
from master.cluster.choice import Cluster, Database, MasterSettings
from master.fleet.choice import Docker, Kubernetes, Protocol, Watch
from master.github.choice import GitHub
from master.images.choice import Images
from master.logs.choice import Logs
from master.notices.choice import Notices
from master.pulls.choice import PullRequests
from master.release.choice import Release
from master.retention.choice import Backup, Retention
from master.secrets.choice import Secrets
from master.signing.choice import Signing
from master.updates.choice import Updates
from master.watch.choice import Health, Metrics


@dataclass(frozen=True)
class Web:
    """The web page and REST API. `url` is the address that people use, when a proxy stands in front."""

    port: int = 8010
    interface: str = "127.0.0.1"
    url: str | None = None


@dataclass(frozen=True)
class Repository:
    """What is built. `url`: a path or any URL that git fetches; workers elsewhere need one that they reach too."""

    url: str | None = None
    branch: str = "main"
    poll_s: int = 10


@dataclass(frozen=True)
class Push:
    """The cells that each push to the branch builds: a set, or cells by builder name; those that have a worker."""

    set: str = "release"
    cells: list[str] | None = None


@dataclass(frozen=True)
class WorkerSettings:
    """A worker that may connect. Without a password file one is made in `secrets/` of MINT_HOME.

    targets: what it builds natively. cross: Linux targets of another processor, whose programs it runs emulated. That
    takes several times as long, so a push builds none of their cells but those that `[push] cells` names.
    disk_gb: free space that it has to have, `[watch]`'s unless given. docker, kubernetes: it is a fresh container, or a
    pod, for each build. pull_requests: builds those, and nothing else.
    """

    name: str
    targets: list[str]
    cross: list[str] = field(default_factory=list)
    password_file: str | None = None
    max_builds: int = 1
    disk_gb: float | None = None
    docker: Docker | None = None
    kubernetes: Kubernetes | None = None
    pull_requests: bool = False


@dataclass(frozen=True)
class Sources:
    """Where pinned sources may come from: the options of workers/sources/settings.py, for every worker."""

    mirrors: list[str] = field(default_factory=list)
    offline: str | None = None
    distro: bool = True
    upstream: bool = True


@dataclass(frozen=True)
class Fips:
    """How the FIPS provider is built. `require_validated`: a plan with a provider that is not CMVP-validated fails."""

    procedure: Literal["toolchain", "policy"] = "toolchain"
    slh_dsa: bool = True
    require_validated: bool = False


@dataclass(frozen=True)
class Build:
    """jobs: make's job slots on a worker, its number of processors by default. Times in minutes: `silent` without any
    output (training and LTO are silent for long), `stage` for a whole stage."""

    jobs: int | None = None
    silent_minutes: int = 90
    stage_minutes: int = 360
    keep_log_days: int = 90


@dataclass(frozen=True)
class Suite:
    """How much of CPython's own test suite runs on each cell. Left out: what matrix.toml says for its variant."""

    extent: Literal["full", "quick", "none"] | None = None


@dataclass(frozen=True)
class Login:
    """Who may sign in: user name and password hash (`python -m master.access`). What they may: [access]."""

    users: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """All of settings.toml. `workers`: unless given, one local worker for this machine's own target."""

    web: Web = field(default_factory=Web)
    protocol: Protocol = field(default_factory=Protocol)
    repository: Repository = field(default_factory=Repository)
    push: Push = field(default_factory=Push)
    workers: list[WorkerSettings] | None = None
    sources: Sources = field(default_factory=Sources)
    fips: Fips = field(default_factory=Fips)
    store: StoreSettings = field(default_factory=StoreSettings)
    build: Build = field(default_factory=Build)
    suite: Suite = field(default_factory=Suite)
    login: Login = field(default_factory=Login)
    access: Access = field(default_factory=Access)
    signing: Signing = field(default_factory=Signing)
    release: Release = field(default_factory=Release)
    health: Health = field(default_factory=Health)
    notices: Notices = field(default_factory=Notices)
    metrics: Metrics = field(default_factory=Metrics)
    retention: Retention = field(default_factory=Retention)
    backup: Backup = field(default_factory=Backup)
    watch: Watch = field(default_factory=Watch)
    images: Images = field(default_factory=Images)
    github: GitHub = field(default_factory=GitHub)
    pull_requests: PullRequests = field(default_factory=PullRequests)
    database: Database = field(default_factory=Database)
    cluster: Cluster = field(default_factory=Cluster)
    masters: list[MasterSettings] = field(default_factory=list)
    updates: Updates = field(default_factory=Updates)
    secrets: Secrets = field(default_factory=Secrets)
    logs: Logs = field(default_factory=Logs)
