"""Figures of one process, and their sum over the processes of a server."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.tally import REQUEST_SECONDS, Figures, SharedFigures, Tally


@pytest.fixture
def shared(tmp_path: Path) -> SharedFigures:
    return SharedFigures(tmp_path)


def _write_as(tmp_path: Path, process_id: int, shared: SharedFigures, tally: Tally) -> None:
    """Write figures as another process would."""
    shared.write(tally)
    (tmp_path / f"{os.getpid()}.json").rename(tmp_path / f"{process_id}.json")


def _commits(shared: SharedFigures, own: Tally) -> float:
    return shared.total(own).counts.get("commits", 0)


def test_request_falls_into_the_bucket_of_its_duration() -> None:
    tally = Tally()
    for seconds in (0.005, 0.0051, 99.0):
        tally.request("GET", 200, "/tasks/", seconds)
    row = tally.copy().requests["GET 200 /tasks/"]
    assert row[:2] == [1, 1]
    assert row[len(REQUEST_SECONDS)] == 1
    assert row[-1] == pytest.approx(99.0101)


def test_total_adds_other_processes_to_own_figures(tmp_path: Path, shared: SharedFigures) -> None:
    other, own = Tally(), Tally()
    other.on_commit(2)
    own.on_commit(1)
    _write_as(tmp_path, 1, shared, other)
    assert _commits(shared, own) == 2
    assert shared.total(own).counts["changes"] == 3


def test_figures_of_ended_processes_stay_and_their_files_go(
    tmp_path: Path, shared: SharedFigures
) -> None:
    own = Tally()
    for process_id in range(1, 4):
        other = Tally()
        other.on_commit(1)
        other.on_sync(0.002, 3)
        _write_as(tmp_path, process_id, SharedFigures(tmp_path), other)
        shared.end(process_id)
        shared.end(process_id)  # a second call counts nothing twice
    total = shared.total(own)
    assert total.counts["commits"] == 3
    assert total.sync_frames[-1] == 9
    assert {path.name for path in tmp_path.glob("*.json")} == {"ended.json"}


def test_figures_are_written_only_with_news(tmp_path: Path, shared: SharedFigures) -> None:
    tally = Tally()
    shared.write(tally)
    assert not list(tmp_path.glob("*.json"))
    tally.on_conflict()
    shared.write(tally)
    (path,) = tmp_path.glob("*.json")
    path.unlink()
    shared.write(tally)
    assert not path.exists()


def test_sum_of_figures_is_elementwise() -> None:
    first, second = Tally(), Tally()
    first.request("GET", 200, "/", 0.001)
    second.request("GET", 200, "/", 0.001)
    second.request("GET", 404, "unknown", 0.001)
    total = Figures()
    total.add(first.copy())
    total.add(second.copy())
    assert {key: sum(row[:-1]) for key, row in total.requests.items()} == {
        "GET 200 /": 2,
        "GET 404 unknown": 1,
    }


def _microseconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    for _ in range(5_000):
        work()
    return (time.process_time() - begun) / 5_000 * 1e6


def test_counting_a_read_costs_a_hundredth_of_it() -> None:
    """A read takes about 400 us of processor time; counted here are request and cache hit: 2 us."""
    tally = Tally()

    def work() -> None:
        tally.on_read(is_cached=True)
        tally.request("GET", 200, "/accounts/api/tasks/", 0.003)

    assert min(_microseconds(work) for _ in range(5)) < 10
