"""`/metrics`: the figures of the server in the formats of Prometheus and OpenMetrics.

Counters and histograms are the sums over all worker processes (`core.tally`). Gauges are read when
Prometheus asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from django.conf import settings
from django.utils.crypto import constant_time_compare
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from core import tally
from core.health.readiness import recent
from utils.json_storage import JSONStorageManager, json_storage
from workspace.operations.maintenance_history import MaintenanceHistory, maintenance_of
from workspace.operations.status import Overview, overview
from workspace.timestamps import parse_time

PREFIX: Final = "neuralflow_"

_COUNTERS: Final = (
    ("store_commits", "commits", "Commits of this server to the store."),
    ("store_changes", "changes", "Changed documents in these commits."),
    ("store_conflicts", "conflicts", "Edits that ran again because another writer was first."),
)


def exposition(accept: str, manager: JSONStorageManager | None = None) -> tuple[bytes, str]:
    """Return the metrics in the format that an Accept header prefers, and its content type."""
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_ServerCollector(manager or json_storage))
    return encode(registry), content_type


class _ServerCollector(Collector):
    def __init__(self, manager: JSONStorageManager) -> None:
        self._manager = manager

    def describe(self) -> Iterable[Metric]:
        return ()  # otherwise registering would collect everything once more

    def collect(self) -> Iterator[Metric]:
        yield from _counted(tally.total())
        yield from _readiness()
        yield from _store(overview(self._manager), self._manager)
        yield from _maintenance(maintenance_of(self._manager))


def _counted(figures: tally.Figures) -> Iterator[Metric]:
    for name, key, text in _COUNTERS:
        yield CounterMetricFamily(PREFIX + name, text, value=figures.counts.get(key, 0.0))
    reads = CounterMetricFamily(
        f"{PREFIX}store_reads", "Documents read, by where from.", labels=["source"]
    )
    reads.add_metric(["cache"], figures.counts.get("reads_cached", 0.0))
    reads.add_metric(["file"], figures.counts.get("reads_from_files", 0.0))
    yield reads
    requests = HistogramMetricFamily(
        f"{PREFIX}http_request_duration_seconds",
        "Requests and their seconds until the response begins, by route and status.",
        labels=["method", "status", "route"],
    )
    for key, row in sorted(figures.requests.items()):
        requests.add_metric(key.split(" ", 2), *_cumulated(row, tally.REQUEST_SECONDS))
    yield requests
    yield _histogram(
        "store_sync_duration_seconds",
        "Seconds of the syncs that make commits durable.",
        figures.sync_seconds,
        tally.SYNC_SECONDS,
    )
    yield _histogram(
        "store_sync_frames",
        "Frames of the journal that one sync made durable (the size of a group commit).",
        figures.sync_frames,
        tally.SYNC_FRAMES,
    )


def _histogram(
    name: str, text: str, row: Sequence[float], bounds: Sequence[float]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(PREFIX + name, text)
    family.add_metric([], *_cumulated(row, bounds))
    return family


def _cumulated(
    row: Sequence[float], bounds: Sequence[float]
) -> tuple[list[tuple[str, float]], float]:
    """Return the cumulative buckets and the sum."""
    names = [*map(str, bounds), "+Inf"]
    return list(zip(names, accumulate(row[:-1]), strict=True)), row[-1]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _readiness() -> Iterator[Metric]:
    ready = recent.get()
    checks = GaugeMetricFamily(
        f"{PREFIX}ready", "1 if a check of /readyz passes, otherwise 0.", labels=["check"]
    )
    for check in ready.checks:
        checks.add_metric([check.name], 0 if check.problem else 1)
    yield checks


def _store(status: Overview, manager: JSONStorageManager) -> Iterator[Metric]:
    yield _gauge("accounts", "Accounts.", status.people)
    yield _gauge(
        "accounts_unsynced", "Accounts with changes that are not in the store.", status.unsynced
    )
    if condition := status.condition:
        yield _gauge("journal_bytes", "Size of the journal.", condition.journal_bytes)
        yield _gauge("journal_segments", "Segments of the journal.", condition.segments)
        yield _gauge(
            "journal_lag_frames",
            "Frames after the checkpoint, which only the journal holds durably.",
            condition.since_checkpoint,
        )
        yield _gauge("publishing_documents", "Documents whose files are behind.", condition.waiting)
        yield _gauge(
            "publishing_lag_seconds", "Seconds that the oldest is behind.", condition.behind
        )
    if room := status.room:
        yield _gauge("disk_free_bytes", "Free bytes on the disk of the data folder.", room.free)
        yield _gauge("disk_size_bytes", "Size of the disk of the data folder.", room.total)
    yield _gauge("backups", "Backups.", len(status.backups) + status.older)
    if status.backups:
        newest = status.backups[0]
        age = (manager.clock() - newest.made_at).total_seconds()
        yield _gauge("backup_age_seconds", "Age of the newest backup.", age)
        yield _gauge("backup_size_bytes", "Size of the newest backup.", newest.size)
    if verified := status.verified:
        yield _gauge(
            "backup_verification_failed",
            "1 if the last verification of a backup found a problem.",
            int(bool(verified.problem)),
        )
        if verified.sound_at:
            yield _gauge(
                "backup_verified_timestamp_seconds",
                "Time of the last verification that found no problem.",
                parse_time(verified.sound_at).timestamp(),
            )
    if validated := status.validated:
        yield _gauge("findings", "Problems that the last validation found.", validated.found)
        yield _gauge(
            "validated_timestamp_seconds",
            "Time of the last validation.",
            parse_time(validated.at).timestamp(),
        )


def _maintenance(history: MaintenanceHistory) -> Iterator[Metric]:
    failures = GaugeMetricFamily(
        f"{PREFIX}maintenance_failures",
        "Failures of a job since it succeeded.",
        labels=["maintenance_job"],
    )
    succeeded = GaugeMetricFamily(
        f"{PREFIX}maintenance_success_timestamp_seconds",
        "Time when a job last succeeded.",
        labels=["maintenance_job"],
    )
    seconds = GaugeMetricFamily(
        f"{PREFIX}maintenance_duration_seconds",
        "Seconds of a job's last run.",
        labels=["maintenance_job"],
    )
    for name, state in sorted(history.jobs.items()):
        failures.add_metric([name], state.failures)
        if state.succeeded_at is not None:
            succeeded.add_metric([name], state.succeeded_at.timestamp())
        if state.finished_at is not None:
            seconds.add_metric([name], state.seconds)
    yield from (failures, succeeded, seconds)


def has_token(authorization: str) -> bool:
    """Return whether an Authorization header has the token of NEURALFLOW_METRICS_TOKEN."""
    token: str = settings.NEURALFLOW_METRICS_TOKEN
    scheme, _space, value = authorization.partition(" ")
    return (
        bool(token) and scheme.lower() == "bearer" and constant_time_compare(value.strip(), token)
    )
