"""Releases through the whole farm to a bucket, a directory and a GitHub at once: real S3 service, fake GitHub.

What opens the places is told to nobody; and a master that is killed in any stage leaves nothing half done behind.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from steps.results import RETRY
from tests.integration import seaweed
from tests.integration.farm import Farm, until
from tests.integration.places import BILLED, Held, Places, held, running
from tests.integration.test_release import mint, rebuilt, refusals, states
from tests.unit import fake_github
from tests.unit.fake_github import Fault
from tests.unit.test_sbom import standard_complaints
from workers.sbom.documents import CYCLONEDX, SPDX, Documents, inside

STAGES = ("gate", "collect", "plan", "publish")
WRONG = "ghs_WRONGtoken.0987654321zyxwvutsrqponmlkjihgfedcba"
TOKENS = (fake_github.TOKEN, seaweed.SECRET, WRONG)
# A machine that compiles beside the tests takes its time; nothing that goes well waits for as long.
WAIT_S = 1200


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with running(tmp_path_factory.mktemp("places")) as found:
        yield found


class Onlooker:
    """Looks at what every process of the farm was started with and has in its environment, for as long as it runs."""

    def __init__(self, farm: Farm) -> None:
        self._secrets = secrets(farm)
        self.told: set[tuple[str, str]] = set()
        self.stages: set[str] = set()
        self._farm = farm
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Onlooker:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.3):
            for pid, words in self._farm.processes():
                try:
                    environment = Path(f"/proc/{pid}/environ").read_bytes()
                except OSError:
                    continue
                self.stages |= {one for one in STAGES if one.encode() in words and b"master.release" in words}
                for secret in self._secrets:
                    if secret in b"\0".join(words) + environment:
                        self.told.add((words[2].decode(), secret[:5].decode()))


def secrets(farm: Farm) -> list[bytes]:
    """What opens the places, and each line of the keys that sign."""
    keys = [line for path in farm.home.keys.glob("*.pem") for line in path.read_bytes().splitlines()]
    assert keys
    return [*(one.encode() for one in TOKENS), *(line for line in keys if not line.startswith(b"-----"))]


def written(places: Places, build: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """All that a release leaves: logs and properties as the page shows them, and every file below MINT_HOME but those
    that are there to be secret."""
    farm = places.farm
    for name, step in farm.steps(build).items():
        for one in farm.get(f"steps/{step['stepid']}/logs")["logs"]:
            yield f"log {name}/{one['name']}", farm.step_log(step, one["name"]).encode()
    yield "properties", json.dumps(farm.properties(build)).encode()
    yield "steps", json.dumps(farm.steps(build)).encode()
    for path in farm.home.root.rglob("*"):
        if path.is_file() and path != places.token_file and farm.home.keys not in path.parents:
            yield str(path), path.read_bytes()


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


def test_a_dry_run_asks_none_of_the_places_and_leaves_nothing_there(places: Places) -> None:
    asked = len(places.hub.requests)
    build = places.farm.finished(places.ask("20261130"), WAIT_S)
    assert build["results"] == 0, states(places.farm, build)
    assert states(places.farm, build)["publish"][1].startswith("20261130 is rehearsed: ")
    assert places.hub.requests[asked:] == []
    places.check_nothing("20261130")
    assert (places.farm.home.root / "rehearsal" / "20261130" / "release-plan.json").exists()


@linux
def test_a_release_reaches_three_places_and_tells_nobody_what_opens_them(places: Places) -> None:
    tag, farm, hub = "20261201", places.farm, places.hub
    places.token(WRONG)
    said = farm.call("forceschedulers/release", "force", tag=tag, revision=farm.first, dry_run=False).json()["error"]
    assert said["message"]["tag"].startswith(f"The tag {tag} can't be looked up: github: the token is not accepted.")
    assert not [one for one in TOKENS if one in json.dumps(said)]
    places.token(fake_github.TOKEN)
    with Onlooker(farm) as onlooker:
        hub.faults = [Fault("POST", "/upload/", 500, "after"), Fault("POST", "/upload/", 401, skip=3)]
        refused = farm.finished(places.ask(tag, dry_run=False), WAIT_S)
        problem = farm.step_log(farm.steps(refused)["publish"], "problem")
        assert problem.startswith("publish: github: the token is not accepted"), states(farm, refused)
        assert str(places.token_file) in problem
        build = rebuilt(farm, refused)
        assert build["results"] == 0, states(farm, build)
    assert [one.times for one in hub.faults] == [0, 0], "a fault did not strike"
    places.check_whole(tag)
    done = mint(farm, "verify", farm.home.root / "releases" / tag)
    assert done.returncode == 0, done.stderr
    check_bills(farm.home.root / "releases" / tag)
    where = farm.properties(build)["release_where"].split()
    assert [one.rpartition("/")[2] for one in where] == [tag] * 3
    assert onlooker.stages == set(STAGES)
    assert onlooker.told == set()
    kept_back = secrets(farm)
    found = [
        (name, secret[:5]) for one in (refused, build) for name, data in written(places, one) for secret in kept_back
        if secret in data
    ]  # fmt: skip
    assert found == []


def check_bills(place: Path) -> None:
    """The published bills of materials are those in the published archives, and what their standards want."""
    bills = {path.name: path.read_bytes() for path in place.iterdir() if path.name.endswith((CYCLONEDX, SPDX))}
    checked = set()
    for archive in (path for path in place.iterdir() if path.name.endswith((".tar.gz", ".tar.zst"))):
        stem = archive.name.partition(".tar.")[0]
        beside = {ending: bills[stem + ending] for ending in (CYCLONEDX, SPDX) if stem + ending in bills}
        assert beside == inside(archive)
        if beside:
            assert standard_complaints(Documents(beside[CYCLONEDX], beside[SPDX])) == []
            checked |= {stem + ending for ending in beside}
    assert checked == bills.keys()
    assert len(checked) == 2 * len(BILLED)


@dataclass(frozen=True)
class Moment:
    """A release that waits in the middle of something. reached: whether it does; go_on: nothing waits there again."""

    reached: Callable[[], bool]
    go_on: Callable[[], None]


def asked(method: str, path: str, **more: Any) -> Callable[[Places], Moment]:
    """In a request to GitHub: before it is carried out, or after, when the answer is not heard any more."""

    def prepared(places: Places) -> Moment:
        fault = Fault(method, path, "hold", **more)
        places.hub.faults.append(fault)
        return Moment(fault.reached.is_set, fault.go.set)

    return prepared


def stopped(stage: Held, *words: bytes) -> Callable[[Places], Moment]:
    """While a program waits that the stage has started."""

    def prepared(places: Places) -> Moment:
        home = places.farm.home.root
        held(home, stage).unlink()
        return Moment(
            lambda: any(set(words) <= set(found) for _, found in places.farm.processes()), held(home, stage).touch
        )

    return prepared


# In their order. Other places are drafted, uploaded and audited before GitHub is, and published before it.
MOMENTS: dict[str, Callable[[Places], Moment]] = {
    "gate": asked("GET", r"/releases/tags/\d+\Z", skip=1),  # the form asks first
    "collect": stopped("collect", b"workers", b"validate"),
    "sign": stopped("sign", b"--release"),
    "draft": asked("POST", r"/releases\Z", when="after"),
    "upload": asked("POST", "/upload/", skip=4),
    "audit": asked("GET", r"/releases/assets/\d+\Z", skip=2),
    "publish": asked("PATCH", r"/releases/\d+\Z", when="after"),
    "point": asked("GET", r"/releases/latest\Z"),
}
AFTER_PUBLISHING = ("publish", "point")


@linux
@pytest.mark.parametrize(
    ("tag", "names"),
    [
        pytest.param("20261202", ("publish",), id="some"),
        pytest.param("20261203", tuple(MOMENTS), id="every", marks=pytest.mark.real),
    ],
)
def test_a_master_that_is_killed_in_a_release_leaves_it_to_the_next_one(
    places: Places, tag: str, names: tuple[str, ...]
) -> None:
    """Every one of them by a single request, which Buildbot begins again. The same form, sent again meanwhile, is taken
    as long as nothing is published, and finds it done."""
    farm = places.farm
    places.hub.digests = False  # as older servers: auditing reads everything back
    moment = MOMENTS[names[0]](places)
    request, others = places.ask(tag, dry_run=False), []
    for number, name in enumerate(names, 1):
        until(f"{name} is at work\n{farm.log('master')}", moment.reached, WAIT_S)
        before, moment = moment, MOMENTS[names[number]](places) if number < len(names) else moment
        farm.down("master", how=signal.SIGKILL)
        until(
            f"{name} has ended with its master",
            lambda: not [words for _, words in farm.processes() if b"master.release" in words],
            WAIT_S,
        )
        before.go_on()
        assert (farm.home.root / "releases" / tag).exists() == (name in AFTER_PUBLISHING), name
        farm.up("master")
        if name == "upload":
            others.append(places.ask(tag, dry_run=False))
        if name == "publish":
            said = refusals(farm, tag=tag, revision=farm.first, dry_run=False)["tag"]
            assert said == f"The tag {tag} is taken: it is published, of this very commit. Choose another one."
    build = farm.finished(request, WAIT_S)
    assert build["results"] == 0, states(farm, build)
    assert [one["results"] for one in farm.builds(request)] == [0, *[RETRY] * len(names)]
    places.check_whole(tag)
    for again in [*(farm.finished(one, WAIT_S) for one in others), rebuilt(farm, build)]:
        assert again["results"] == 0, states(farm, again)
        assert states(farm, again)["publish"][1].startswith(f"nothing to do: {tag} is published: ")
    places.check_whole(tag)
    done = mint(farm, "verify", farm.home.root / "releases" / tag)
    assert done.returncode == 0, done.stderr
