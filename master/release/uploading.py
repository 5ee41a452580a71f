"""How the files of a release get to a place: several at once, largest first, and looked at again after any error."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal, TypeVar

from master.bucket.trouble import Trouble
from master.release.model import Asset
from master.release.places.base import Delivery, Held, Place
from workers.errors import Failure
from workers.progress import counted

T = TypeVar("T")
Say = Callable[[str], None]
# Of one step in a row; what went well in between begins the count anew.
ATTEMPTS = 6
_SAY_EVERY_S = 5.0


@dataclass(frozen=True)
class Patience:
    """How long a place is waited for. sleep: seconds; chance: 0 to 1, so that several do not come back together."""

    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def pause(self, attempt: int, trouble: Trouble) -> float:
        """Seconds before the next try: as the place asked, else 1, 2, 4, ... and up to half more. attempt: from 1."""
        if trouble.wait_s is not None:
            return trouble.wait_s
        return float(min(2 ** (attempt - 1), 60)) * (1 + self.chance() / 2)


def patiently(what: Callable[[], T], place: str, patience: Patience, say: Say) -> T:
    """Does something that may be repeated, until it is done. Raises Failure when the place stays out of reach."""
    attempt = 1
    while True:
        try:
            return what()
        except Trouble as trouble:
            if attempt >= patience.attempts:
                raise _gave_up(place, trouble, attempt) from trouble
            pause = patience.pause(attempt, trouble)
            say(f"{trouble.what}; again in {pause:.0f} s")
            patience.sleep(pause)
            attempt += 1


def _gave_up(place: str, trouble: Trouble, attempts: int) -> Failure:
    return Failure(
        "publish", f"{place} can't be worked with now", found=f"{trouble.what}, {attempts} times",
        todo="What was uploaded is kept: start the same release again when it is back.",
    )  # fmt: skip


Verdict = Literal["send", "keep", "replace"]


def verdict(asset: Asset, held: Held | None) -> Verdict:
    """What has to be done about a file, by what the place lists."""
    if held is None:
        return "send"
    same = held.whole and held.size == asset.size and held.sha256 in (None, asset.sha256)
    return "keep" if same else "replace"


def foreign(files: Iterable[str], held: Iterable[str]) -> list[str]:
    """Files of a draft that no plan of ours brought there."""
    return sorted(set(held) - set(files))


class Pacer:
    """Keeps requests that create something apart, for all threads; and lets all of them wait where one was told to."""

    def __init__(self, pace_s: float, patience: Patience, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace_s = pace_s
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()

    def turn(self) -> None:
        with self._lock:
            now = self._clock()
            pause = self._next - now
            self._next = max(self._next, now) + self._pace_s
        if pause > 0:
            self._patience.sleep(pause)

    def hold(self, seconds: float) -> None:
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


@dataclass
class Sent:
    """What went out: files and bytes; kept: those that were there."""

    files: int = 0
    size: int = 0
    kept: int = 0


class Uploader:
    """One place's uploads of one delivery."""

    def __init__(self, place: Place, delivery: Delivery, patience: Patience, say: Say) -> None:
        self.place = place
        self.delivery = delivery
        self.sent = Sent()
        self._patience = patience
        self._say = say
        self._pacer = Pacer(place.pace_s, patience)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._said_at = time.monotonic()

    def held(self) -> dict[str, Held]:
        """What the place holds. Raises Failure for files that are none of the plan's."""
        found = patiently(lambda: self.place.held(self.delivery), self.place.name, self._patience, self._say)
        strange = foreign(self.delivery.files, found)
        if strange:
            raise Failure(
                "publish", f"{self.place.name}: the draft of {self.delivery.tag} has files that nobody planned",
                wanted="only the plan's", found=", ".join(strange[:5]) + (" ..." if len(strange) > 5 else ""),
                todo="Somebody put them there. Take them away, and start the release again.",
            )  # fmt: skip
        return found

    def send(self, assets: Iterable[Asset]) -> None:
        """Until each is there as planned. Raises the first Failure, after the uploads under way have ended."""
        held = self.held()
        wanted = sorted(assets, key=lambda one: (-one.size, one.name))
        missing = [one for one in wanted if verdict(one, held.get(one.name)) != "keep"]
        self.sent.kept += len(wanted) - len(missing)
        total, size = len(missing), sum(one.size for one in missing)
        done, begun = 0, self.sent.size
        with ThreadPoolExecutor(self.place.parallel, thread_name_prefix=self.place.name) as pool:
            running: set[Future[None]] = {pool.submit(self._settle, one, held) for one in missing}
            while running:
                ended, running = wait(running, return_when=FIRST_EXCEPTION, timeout=_SAY_EVERY_S)
                done += len(ended)
                failed = next((one.exception() for one in ended if one.exception() is not None), None)
                if failed is not None:
                    raise failed
                if running:
                    sent = (self.sent.size - begun) / 1e6
                    files = f"{done} of {counted(total, 'file')}"
                    self._say(f"{self.place.name}: {files}, {sent:.0f} of {size / 1e6:.0f} MB")

    def _settle(self, asset: Asset, held: Mapping[str, Held]) -> None:
        """Brings one file there; where that fails, no other is begun or tried again."""
        try:
            self._until_there(asset, held)
        except BaseException:
            # Here and not by who waits for it: this thread takes the next file at once.
            self._stopped.set()
            raise

    def _until_there(self, asset: Asset, held: Mapping[str, Held]) -> None:
        """After any error the place is read again before anything is decided."""
        attempt = 0
        while not self._stopped.is_set():
            attempt += 1
            try:
                self._once(asset, held.get(asset.name))
                return
            except Trouble as trouble:
                if attempt >= self._patience.attempts:
                    raise _gave_up(self.place.name, trouble, attempt) from trouble
                held = self.held()
                if verdict(asset, held.get(asset.name)) == "keep":
                    self._count(asset)
                    return
                pause = self._patience.pause(attempt, trouble)
                self._say(f"{asset.name}: {trouble.what}; again in {pause:.0f} s")
                if trouble.wait_s:
                    self._pacer.hold(pause)
                self._patience.sleep(pause)

    def _once(self, asset: Asset, held: Held | None) -> None:
        if held is not None and verdict(asset, held) == "replace":
            self.place.remove(self.delivery, held)
        self._pacer.turn()
        self.place.put(self.delivery, asset)
        self._count(asset)

    def _count(self, asset: Asset) -> None:
        with self._lock:
            self.sent.files += 1
            self.sent.size += asset.size

    def audit(self, assets: Iterable[Asset]) -> list[Asset]:
        """The files that are not there, or with other bytes, by digest. Those are taken away, if they are there."""
        held = self.held()
        wrong: list[Asset] = []
        with ThreadPoolExecutor(self.place.parallel, thread_name_prefix=self.place.name) as pool:
            for asset, same in pool.map(lambda one: (one, self._same(one, held.get(one.name))), list(assets)):
                if not same:
                    wrong.append(asset)
        return wrong

    def _same(self, asset: Asset, held: Held | None) -> bool:
        if held is None:
            return False
        if verdict(asset, held) == "keep":
            found = patiently(
                lambda: self.place.digest(self.delivery, asset, held), self.place.name, self._patience, self._say
            )
            if found == asset.sha256:
                return True
            self._say(f"{asset.name}: {self.place.name} has other bytes, sha256 {found}")
        patiently(lambda: self.place.remove(self.delivery, held), self.place.name, self._patience, self._say)
        return False
