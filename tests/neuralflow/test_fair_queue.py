"""Who gets a thread next, where many ask."""

from ipaddress import ip_network

import pytest

from neuralflow import worker
from neuralflow.fair_queue import AHEAD, FairQueue, Lane

THREADS = 8


def started(queue: FairQueue[str]) -> list[str]:
    requests = []
    while request := queue.next():
        requests.append(request)
    return requests


def test_subject_that_asks_a_hundred_times_leaves_threads_to_others() -> None:
    queue: FairQueue[str] = FairQueue(THREADS)
    for number in range(100):
        queue.add(f"many {number}", Lane.OTHER, b"many")
    assert started(queue) == [f"many {number}" for number in range(THREADS * 3 // 4)]
    queue.add("one", Lane.OTHER, b"one")
    assert started(queue) == ["one"]
    queue.done("many 3")
    queue.add("one more", Lane.OTHER, b"one")
    assert started(queue) == ["many 6", "one more"]


def test_subjects_take_turns() -> None:
    queue: FairQueue[str] = FairQueue(THREADS)
    for number in range(3):
        for name in ("a", "b", "c"):
            queue.add(f"{name}{number}", Lane.OTHER, name.encode())
    assert started(queue) == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_log_ins_from_everywhere_leave_threads_to_reads() -> None:
    queue: FairQueue[str] = FairQueue(THREADS)
    for number in range(100):
        queue.add(f"log-in {number}", Lane.STRANGER, b"%d" % number)
        queue.add(f"form {number}", Lane.FORM, b"session %d" % number)
    assert len(started(queue)) == THREADS // 4 + THREADS // 2
    for number in range(9):
        queue.add(f"read {number}", Lane.OTHER, b"%d" % number)
    assert started(queue) == [f"read {number}" for number in range(THREADS // 4 + AHEAD)]
    queue.done("log-in 0")
    assert started(queue) == ["log-in 2"]


def test_every_request_gets_its_turn_and_nothing_is_left() -> None:
    queue: FairQueue[int] = FairQueue(THREADS)
    for number in range(300):
        queue.add(number, Lane(number % 3), b"%d" % (number % 7))
    done, running = set(), started_numbers(queue)
    while running:
        request = running.pop()
        done.add(request)
        queue.done(request)
        running += started_numbers(queue)
    assert done == set(range(300))


def started_numbers(queue: FairQueue[int]) -> list[int]:
    requests = []
    while (request := queue.next()) is not None:
        requests.append(request)
    return requests


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        ("192.0.2.1", "198.51.100.7", b"192.0.2.1"),
        ("2001:db8:1:2::1", "", b"2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "", b"2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "", b"192.0.2.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", b"198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2", b"198.51.100.7"),
    ],
)
def test_subject_is_the_network_behind_the_trusted_proxies(
    peer: str, forwarded_for: str, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "NEURALFLOW_TRUSTED_PROXIES", (ip_network("10.0.0.0/8"),))
    worker._network_of.cache_clear()
    try:
        assert worker._network_of(peer, forwarded_for) == expected
    finally:
        worker._network_of.cache_clear()
