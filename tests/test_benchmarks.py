"""The benchmark compares like with like: every peer that is installed keeps the same records."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import api, rates, workloads
from benchmarks.__main__ import figures, report
from benchmarks.peers import PEERS, NeuralFlow, Peer, SQLite, task


@pytest.mark.parametrize("kind", [NeuralFlow, SQLite])
def test_a_peer_keeps_what_it_is_given(tmp_path: Path, kind: type[Peer]) -> None:
    peer = kind(tmp_path)
    peer.fill(1, map(task, range(3)))
    peer.fill(2, [])
    assert peer.append(1, task(3)) == 4
    peer.update(1, 2, {"status": "review"})
    peer.delete(1, 3)
    again = kind(tmp_path)
    titles = [record["title"] for record in again.records(1)]
    assert titles == [task(number)["title"] for number in (0, 1, 3)]
    assert again.record(1, 2)["status"] == "review"
    assert len(json.loads(again.as_json(1))) == 3
    assert again.append(2, task(0)) == 1


def test_delete_is_measured_at_the_size_it_is_reported_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workloads, "SECONDS", 0.001)
    peer = NeuralFlow(tmp_path)
    peer.fill(workloads.OWNER, map(task, range(5)))
    assert workloads.delete(peer, 5) > 0
    assert len(peer.records(workloads.OWNER)) == 5


@pytest.mark.parametrize(("peer", "workload"), [("NeuralFlow", "append"), ("Django ORM", "delete")])
def test_a_worker_prints_one_figure(peer: str, workload: str) -> None:
    command = [sys.executable, "-m", "benchmarks.worker", peer, workload, "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < 60


def test_the_report_shows_every_peer() -> None:
    times = {figure: [0.001] for figure in figures(quick=True)}
    text = report(times, rounds=1)
    for peer in PEERS:
        assert f"| {peer}" in text
    assert "1,000 (1 x)" in text


def test_the_report_of_the_api_tells_what_holds() -> None:
    slow, fast = ([seconds] * 10 for seconds in (0.004, 0.001))
    both = dict.fromkeys(api.BARS, (fast, slow))
    names = (api.OURS.name, api.PEER.name)
    times = {(o, name): t for o, ours in both.items() for name, t in zip(names, ours, strict=True)}
    assert api.report(times).count("| yes |") == len(api.BARS)
    times["POST of a task", api.OURS.name] = slow
    assert "| POST of a task | 4,000 (4,000) | 4,000 (4,000) | 1.0 x | 1.5 x | **no** |" in (
        api.report(times)
    )


def test_rates_are_compared_round_by_round() -> None:
    ours, peer, bare = ([100.0, 400.0], [50.0, 200.0], [200.0, 800.0])
    figures = {("GET", 8, a.name): f for a, f in ((api.OURS, ours), (api.PEER, peer))}
    figures |= {("GET", 8, api.BARE.name): bare, ("POST", 8, api.OURS.name): ours}
    text = rates.report(figures)
    assert "| GET of 100 tasks | 8 | 250 | 125 (2.00 x) | 500 (0.50 x) |" in text
    assert "| POST of a task | 8 | 250 |  |  |" in text


def test_rates_without_wrk_name_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit, match="apt-get install wrk"):
        rates.main([])


def test_our_api_is_measured_over_http(tmp_path: Path) -> None:
    with api.served(api.OURS, tmp_path) as client:
        assert len(json.loads(client.get())["tasks"]) == api.TASKS
        assert all(0 < time < 60 for time in api.seconds("POST of a task", client, 2))
        assert len(json.loads(client.get())["tasks"]) == api.TASKS + 12


def test_the_lag_of_files_is_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.lag", "--changes", "2", "--largest", "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = done.stdout.splitlines()[-1].split("|")
    assert figures[1].strip() == "100 records"
    assert all(float(figure) >= 0 for figure in figures[2:5])
