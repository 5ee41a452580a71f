"""`/metrics`: the farm in Prometheus' text format. docs/watching.md lists every name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from master.release.model import CellState
from master.watch.figures import Figures, Queue
from master.watch.vitals import Checkup, Vitals

# A cell costs seconds when nothing changed, a quarter of an hour on a large machine, hours on a small one.
BUCKETS = (10, 30, 60, 180, 300, 600, 900, 1800, 2700, 3600, 5400, 7200, 10800, 14400, 21600, 43200)
RESULTS = ("success", "warnings", "failure", "skipped", "exception", "retry", "cancelled")


class Counted:
    """What is counted from events, since the master started: Prometheus takes a fall to zero for a restart."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._builds = Counter(
            "pymint_builds", "Builds that ended, since the master started.", ["builder", "result"],
            registry=self.registry,
        )  # fmt: skip
        self._durations = Histogram(
            "pymint_build_duration_seconds", "How long builds took that ended well.", ["builder"], buckets=BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self._signing = Counter(
            "pymint_signing_failures", "Builds that were recorded and could not be signed.", registry=self.registry
        )
        self._steps = Counter(
            "pymint_failed_steps", "Steps that failed, by their name.", ["step"], registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def build_ended(self, builder: str, result: int | None, seconds: float) -> None:
        """result: Buildbot's code."""
        name = RESULTS[result] if result is not None and 0 <= result < len(RESULTS) else "unknown"
        self._builds.labels(builder, name).inc()
        if name in ("success", "warnings"):
            self._durations.labels(builder).observe(max(0.0, seconds))

    def step_failed(self, step: str) -> None:
        self._steps.labels(step).inc()
        if step == "attest":
            self._signing.inc()


class Measured(Collector):
    """What is measured at the moment of the question."""

    def __init__(self, figures: Figures, vitals: Vitals, checkup: Checkup, lag_s: float, scrape_s: float) -> None:
        self.figures, self.vitals, self.checkup = figures, vitals, checkup
        self.lag_s, self.scrape_s = lag_s, scrape_s

    def collect(self) -> Iterator[Metric]:
        figures, vitals = self.figures, self.vitals
        yield _gauge("pymint_healthy", "Whether all checks of /health hold.", float(self.checkup.healthy))
        checks = GaugeMetricFamily("pymint_check_ok", "Whether a check of /health holds.", labels=["check"])
        for name in dict.fromkeys(one.name for one in self.checkup.checks):
            checks.add_metric([name], float(all(one.ok for one in self.checkup.checks if one.name == name)))
        yield checks
        yield from self._queues()
        yield from self._workers()
        free = GaugeMetricFamily("pymint_disk_free_bytes", "Free on the disk of a place.", labels=["place"])
        for place, count in vitals.free.items():
            free.add_metric([place], count)
        yield free
        yield _gauge("pymint_store_bytes", "Size of the archives' store.", figures.store_bytes)
        yield _gauge("pymint_store_files", "Files in the archives' store.", figures.store_files)
        yield _gauge("pymint_incoming_bytes", "Size of uploads that were not checked yet.", figures.incoming_bytes)
        yield _gauge("pymint_database_bytes", "Size of the master's database.", figures.database_bytes)
        if vitals.polled is not None:
            yield _gauge("pymint_poll_age_seconds", "Since the repository was looked at.", vitals.polled)
        yield _gauge("pymint_event_loop_lag_seconds", "The longest turn of the event loop in a minute.", self.lag_s)
        yield _gauge("pymint_master_up_seconds", "Since the master's process began.", vitals.up)
        yield from self._release()
        yield _gauge("pymint_scrape_duration_seconds", "What this answer took.", self.scrape_s)

    def _queues(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("pymint_requests_waiting", "Requests that wait for a build.", labels=["builder"])
        running = GaugeMetricFamily("pymint_requests_running", "Requests that a build works on.", labels=["builder"])
        oldest = GaugeMetricFamily(
            "pymint_request_oldest_seconds", "For how long the first of them has waited.", labels=["builder"]
        )
        for builder, queue in sorted(self.figures.queues.items()):
            waiting.add_metric([builder], queue.waiting)
            running.add_metric([builder], queue.running)
            oldest.add_metric([builder], queue.oldest)
        if not self.figures.queues:  # so that the names are there before the first request
            for one in (waiting, running, oldest):
                one.add_metric(["farm"], Queue().waiting)
        yield from (waiting, running, oldest)

    def _workers(self) -> Iterator[Metric]:
        connected = GaugeMetricFamily("pymint_worker_connected", "Whether a worker is connected.", labels=["worker"])
        paused = GaugeMetricFamily(
            "pymint_worker_paused", "Whether a worker takes no builds, though it is connected.", labels=["worker"]
        )
        for name, state in sorted(self.figures.workers.items()):
            connected.add_metric([name], float(state.connected))
            paused.add_metric([name], float(state.paused or state.graceful))
        yield from (connected, paused)

    def _release(self) -> Iterator[Metric]:
        cells = GaugeMetricFamily(
            "pymint_release_cells", "Cells of the branch's newest commit, by their state for a release.",
            labels=["state"],
        )  # fmt: skip
        for state in get_args(CellState):
            cells.add_metric([state], self.figures.cells.get(state, 0))
        yield cells
        if self.figures.ready is not None:
            ready = float(self.figures.ready)
            yield _gauge("pymint_release_ready", "Whether that commit could be released.", ready)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def text_of(counted: Counted, measured: Measured) -> bytes:
    """The whole answer."""
    now = CollectorRegistry(auto_describe=False)
    now.register(measured)
    return generate_latest(counted.registry) + generate_latest(now)
