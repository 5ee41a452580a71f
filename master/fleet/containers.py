"""Workers that the master starts: a fresh container, or a fresh pod, for each build.

A module of its own, since Docker's library takes a moment to load and most farms start no containers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
from buildbot.interfaces import LatentWorkerCannotSubstantiate
from buildbot.plugins import util, worker

from master import settings
from master.fleet.authority import Files
from master.fleet.choice import Docker, Kubernetes
from master.fleet.ward import Watched
from master.home import Home
from master.images import kept
from master.secrets.places import Keeping, read, secrets_of
from master.settings import Settings, WorkerSettings
from workers.errors import Failure
from workers.images.confinement import seccomp, security_options

# A container whose program does not connect within this time is no worker.
CONNECTS_S = 300
STORE = "/pymint/state"


def said_to(self: Any, environment: dict[str, str]) -> dict[str, str]:
    """What workers/service/container.py reads. Buildbot's own variables would hold the password a second time."""
    return {**environment, "PYMINT_NAME": self.name, "PYMINT_PASSWORD": self.password}


class Container(Watched, worker.DockerLatentWorker):
    """A fresh container for each build, of the image whose id was recorded when it was made.

    Buildbot looks for images by their tags, which anybody may move; this asks the engine for the id.
    """

    def checkConfig(self, *args: Any, told: dict[str, str], **kwargs: Any) -> Any:
        return super().checkConfig(*args, **kwargs)

    def reconfigService(self, *args: Any, told: dict[str, str], **kwargs: Any) -> Any:
        self.told = told
        return super().reconfigService(*args, **kwargs)

    def createEnvironment(self, build: Any = None) -> dict[str, str]:
        return said_to(self, self.told)

    def _image_exists(self, client: Any, name: str) -> bool:
        try:
            return bool(client.inspect_image(name)["Id"] == name)
        except docker.errors.ImageNotFound:
            return False


class Pod(Watched, worker.KubeLatentWorker):
    """A fresh pod for each build. Not run against a cluster: docs/images.md."""

    def checkConfig(self, *args: Any, told: dict[str, str], limits: Kubernetes, **kwargs: Any) -> Any:
        return super().checkConfig(*args, **kwargs)

    def reconfigService(self, *args: Any, told: dict[str, str], limits: Kubernetes, **kwargs: Any) -> Any:
        self.told, self.limits = told, limits
        return super().reconfigService(*args, **kwargs)

    def createEnvironment(self, build: Any = None) -> dict[str, str]:
        return said_to(self, self.told)

    def getBuildContainerResources(self, build: Any) -> dict[str, Any]:
        return resources(self.limits)

    def get_volumes(self, build: Any) -> list[dict[str, Any]]:
        return volumes(self.limits)

    def get_build_container_volume_mounts(self, build: Any) -> list[dict[str, Any]]:
        return [{"name": "state", "mountPath": STORE}]

    async def getPodSpec(self, build: Any) -> dict[str, Any]:
        return confined(await super().getPodSpec(build))


def resources(chosen: Kubernetes) -> dict[str, Any]:
    """Asked for and allowed are the same: a build that is moved to another node begins anew."""
    amounts = {"memory": f"{int(chosen.memory_gb * 1e9)}", "cpu": f"{chosen.cpus:g}"}
    return {"requests": amounts, "limits": amounts}


def volumes(chosen: Kubernetes) -> list[dict[str, Any]]:
    if chosen.claim is None:
        return [{"name": "state", "emptyDir": {}}]
    return [{"name": "state", "persistentVolumeClaim": {"claimName": chosen.claim}}]


def confined(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod with the confinement of docs/images.md: no capability, not root, no token of the cluster.

    seccompProfile: the nodes have the list under the kubelet's directory; docs/images.md says how it gets there.
    """
    spec = {**pod["spec"], "automountServiceAccountToken": False}
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "Localhost", "localhostProfile": "pymint.json"},
        "appArmorProfile": {"type": "Unconfined"},
    }
    spec["containers"] = [{**one, "securityContext": security} for one in spec["containers"]]
    spec["securityContext"] = {"fsGroup": 1000}
    return {**pod, "spec": spec}


def told(home: Home, chosen: Settings, one: WorkerSettings, master: str | None) -> dict[str, str]:
    """What a container has to know of its master, but for its name and password."""
    authority = Files(home.protocol_keys).authority
    return {
        "PYMINT_MASTER": master or settings.protocol_names(chosen)[0],
        "PYMINT_PORT": str(chosen.protocol.port),
        "PYMINT_AUTHORITY": authority.read_text() if settings.uses_tls(chosen) and authority.exists() else "",
        "PYMINT_DISK_GB": f"{settings.disk_wanted_gb(chosen, one):g}",
    }


def recorded_image(file: Path, name: str, target: str) -> Any:
    """The id of the newest good image at the moment when a container is started."""

    @util.renderer
    def image(_: Any) -> str:
        try:
            return kept.newest(file, name, target).id
        except Failure as failure:
            raise LatentWorkerCannotSubstantiate(str(failure)) from failure

    return image


def host_config(chosen: Docker) -> dict[str, Any]:
    """What a container may use and do. The engine's own init reaps what a build leaves behind."""
    return {
        "mem_limit": int(chosen.memory_gb * 1e9),
        "memswap_limit": int(chosen.memory_gb * 1e9),
        "nano_cpus": int(chosen.cpus * 1e9),
        "pids_limit": chosen.pids,
        "cap_drop": ["ALL"],
        "security_opt": security_options(seccomp()),
        "network_mode": chosen.network,
        "init": True,
        "privileged": False,
    }


def container(home: Home, chosen: Settings, one: WorkerSettings, how: Docker, shared: dict[str, Any]) -> Any:
    """Without a password of its own: Buildbot makes one at each start, which nobody has to keep."""
    return Container(
        one.name,
        None,
        docker_host=how.host,
        image=recorded_image(home.images_file, how.image, one.targets[0]),
        volumes=[f"{how.store}:{STORE}"] if how.store else [],
        hostconfig=host_config(how),
        build_wait_timeout=0,
        missing_timeout=CONNECTS_S,
        told=told(home, chosen, one, how.master),
        **shared,
    )


def pod(home: Home, chosen: Settings, one: WorkerSettings, how: Kubernetes, shared: dict[str, Any]) -> Any:
    return Pod(
        one.name,
        image=how.image,
        namespace=how.namespace,
        kube_config=cluster(how, secrets_of(home.root, chosen.secrets)),
        masterFQDN=how.master or settings.protocol_names(chosen)[0],
        build_wait_timeout=0,
        missing_timeout=CONNECTS_S,
        told=told(home, chosen, one, how.master),
        limits=how,
        **shared,
    )


def cluster(how: Kubernetes, at: Keeping) -> Any:
    """How the cluster's API is reached: as a pod of it, or by address and token."""
    if how.master_url is None:
        return util.KubeInClusterConfigLoader()
    token = read(at.place(how.token_file)) if how.token_file else None
    return util.KubeHardcodedConfig(how.master_url, bearerToken=token, namespace=how.namespace)
