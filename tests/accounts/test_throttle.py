"""How often somebody may be wrong, whatever they try."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from accounts import hashers, throttle
from accounts.guards import ADDRESS, HERE
from accounts.models import FailedAttempts, User
from accounts.throttle import Attempt, BadTokens, Limit, TooManyAttempts
from tests.conftest import PASSWORD
from tests.server import Server, prepared_server, started

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stands still; called with seconds, it goes on by them."""
    now = [timezone.now()]
    monkeypatch.setattr("accounts.throttle.timezone.now", lambda: now[0])

    def go_on(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    return go_on


def sign_in(name: str, password: str = "wrong", **more: Any) -> Any:
    return Client().post("/accounts/login/", {"login": name, "password": password}, **more)


def test_the_sixth_wrong_password_is_refused_and_the_right_one_with_it(
    alice: User, clock: Callable[[float], None]
) -> None:
    assert [sign_in("alice").status_code for _ in range(6)] == [200] * 5 + [429]
    refused = sign_in("alice", PASSWORD)
    assert refused.status_code == 429
    assert refused["Retry-After"] == "60"
    assert "60 seconds" in refused.content.decode()
    clock(60)
    assert sign_in("alice", PASSWORD).status_code == 302
    assert sign_in("alice").status_code == 200
    assert sign_in("alice").status_code == 429


@pytest.mark.parametrize("name", ["Alice", " alice ", "ALICE", "\uff41lice"])
def test_no_other_way_to_write_a_name_begins_anew(
    alice: User, clock: Callable[[float], None], name: str
) -> None:
    for _ in range(5):
        sign_in("alice")
    assert sign_in(name).status_code == 429


def test_a_right_password_does_not_count(alice: User, clock: Callable[[float], None]) -> None:
    for _ in range(4):
        sign_in("alice")
    for _ in range(3):
        assert sign_in("alice", PASSWORD).status_code == 302
    assert [sign_in("alice").status_code for _ in range(2)] == [200, 429]


def test_a_name_that_nobody_has_is_limited_alike(clock: Callable[[float], None]) -> None:
    assert [sign_in("nobody").status_code for _ in range(6)] == [200] * 5 + [429]


def test_an_address_is_limited_over_many_names_and_says_nothing_about_itself(
    clock: Callable[[float], None],
) -> None:
    answers = [
        sign_in(f"nobody{number}", HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")
        for number in range(ADDRESS.most + 1)
    ]
    assert [answer.status_code for answer in answers] == [200] * ADDRESS.most + [429]
    assert sign_in("another", REMOTE_ADDR="192.0.2.77").status_code == 200


def test_a_network_of_ipv6_is_one_address(clock: Callable[[float], None]) -> None:
    for number in range(ADDRESS.most):
        sign_in(f"nobody{number}", REMOTE_ADDR=f"2001:db8::{number:x}")
    assert sign_in("another", REMOTE_ADDR="2001:db8::ffff").status_code == 429
    assert sign_in("another", REMOTE_ADDR="2001:db8:0:1::1").status_code == 200


def test_refused_attempt_is_not_counted(clock: Callable[[float], None]) -> None:
    few, many = Limit("few", 1, 60), Limit("many", 2, 60)
    Attempt((many, "m"), (few, "a"))
    with pytest.raises(TooManyAttempts):
        Attempt((many, "m"), (few, "a"))
    Attempt((many, "m"), (few, "b"))


def test_rows_go_when_they_have_nothing_to_say(clock: Callable[[float], None]) -> None:
    Attempt((HERE, "one"))
    assert FailedAttempts.objects.get().pk != "one"
    clock(61)
    Attempt((HERE, "two"))
    assert FailedAttempts.objects.count() == 1


def test_concurrent_attempts_are_all_counted(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, others = throttle._full_until, iter(range(2))

    def read_and_be_overtaken(key: str) -> datetime | None:
        found = read(key)
        for _ in others:
            Attempt((HERE, "alice"))
            break
        return found

    monkeypatch.setattr(throttle, "_full_until", read_and_be_overtaken)
    Attempt((HERE, "alice"))  # and two that came between its reading and its writing
    Attempt((HERE, "alice"))
    Attempt((HERE, "alice"))
    with pytest.raises(TooManyAttempts):
        Attempt((HERE, "alice"))


def test_a_count_that_is_written_whatever_it_became_would_be_noticed(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(key: str, before: datetime | None, after: datetime) -> bool:
        FailedAttempts.objects.update_or_create(pk=key, defaults={"until": after})
        return True

    monkeypatch.setattr(throttle, "_put", put)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        test_concurrent_attempts_are_all_counted(clock, monkeypatch)


def test_one_hash_is_made_whoever_is_asked_for(
    alice: User, monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    made: Counter[str] = Counter()
    current = [""]

    def count(*_: Any) -> Any:
        made[current[0]] += 1
        return original(*_)

    from django.contrib.auth.hashers import MD5PasswordHasher

    original = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", count)
    answers = {}
    for name in ("alice", "alice@example.com", "nobody", "nobody@example.com"):
        current[0] = name
        answers[name] = sign_in(name)
    assert made == {"alice": 1, "alice@example.com": 1, "nobody": 1, "nobody@example.com": 1}
    bodies = {
        re.sub(rb'(name="csrfmiddlewaretoken" value=)"[^"]*"', rb"\1", answer.content).replace(
            name.encode(), b""
        )
        for name, answer in answers.items()
        if "@" not in name
    }
    assert len(bodies) == 1


def test_passwords_are_hashed_two_at_a_time_and_others_wait_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setattr(hashers, "WAIT", 0.01)
    hasher = hashers.Argon2idHasher()
    with hashers._turn(), hashers._turn():
        with pytest.raises(hashers.TooBusy):
            hasher.encode(PASSWORD, "somesaltsomesalt")
        with pytest.raises(hashers.TooBusy):
            hasher.verify(PASSWORD, "argon2$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AA")
    assert hasher.verify(PASSWORD, hasher.encode(PASSWORD, "somesaltsomesalt"))


def test_few_threads_wait_for_a_password_to_be_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers, "WAIT", 60.0)
    ready, over = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        with hashers._turn():
            ready.release()
            over.wait(60)

    holders = [threading.Thread(target=hold) for _ in range(hashers.AT_ONCE + hashers.WAITING_MAX)]
    for holder in holders:
        holder.start()
    for _ in range(hashers.AT_ONCE):
        assert ready.acquire(timeout=60)
    while hashers._places._value:  # until the others wait for their turn
        holders[-1].join(0.01)
    try:
        began = time.monotonic()
        with pytest.raises(hashers.TooBusy):
            hashers.Argon2idHasher().encode(PASSWORD, "somesaltsomesalt")
        assert time.monotonic() - began < hashers.WAIT / 2
    finally:
        over.set()
        for holder in holders:
            holder.join()


def test_sign_in_on_busy_server_responds_503_uncounted(
    alice: User, monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise hashers.TooBusy

    with monkeypatch.context() as patched:
        patched.setattr(User, "check_password", busy)
        for _ in range(7):
            answer = sign_in("alice")
            assert answer.status_code == 503
            assert int(answer["Retry-After"]) > 0
    assert sign_in("alice", PASSWORD).status_code == 302


def test_bad_tokens_are_told_to_wait_and_good_ones_beside_them_go_on(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts.tokens import create_token

    monkeypatch.setattr("accounts.api_tokens.bad_tokens", BadTokens())

    def call(text: str, address: str = "192.0.2.1") -> Any:
        headers = {"authorization": f"Bearer {text}"}
        return Client(headers=headers).get("/accounts/api/tasks/", REMOTE_ADDR=address)

    statuses = Counter(call("nf_bad").status_code for _ in range(BadTokens.MOST + 3))
    assert statuses == {401: BadTokens.MOST, 429: 3}
    assert 0 < int(call("nf_bad")["Retry-After"]) <= BadTokens.SECONDS + 1
    assert call("nf_bad", "192.0.2.2").status_code == 401
    assert call(create_token(alice)[1]).status_code == 200


def test_counts_of_bad_tokens_take_a_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BadTokens, "ADDRESSES_MAX", 10)
    counts = BadTokens()
    for number in range(100):
        counts.wait(str(number))
    assert len(counts._counts) == 10


class Browser:
    """Signs in at a real server, with the cookies and the token that its form asks for."""

    def __init__(self, server: Server) -> None:
        self.server = server
        status, headers, page = self.send("GET", {})
        assert status == 200
        self.cookie = headers["Set-Cookie"].partition(";")[0]
        found = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found
        self.csrf = found[1].decode()

    def send(self, method: str, headers: dict[str, str], body: str | None = None) -> Any:
        link = HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        link.request(method, "/accounts/login/", body, headers)
        response = link.getresponse()
        page = response.read()
        link.close()
        return response.status, response.headers, page

    def sign_in(self, name: str, password: str, number: int = 0) -> int:
        form = {"login": name, "password": password, "csrfmiddlewaretoken": self.csrf}
        headers = {
            "Cookie": self.cookie,
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Forwarded-For": f"198.51.100.{number}",
        }
        status: int = self.send("POST", headers, urlencode(form))[0]
        return status


def test_two_workers_and_a_restart_count_as_one(tmp_path: Path) -> None:
    server = prepared_server(tmp_path)
    server.person("dora")
    begun, statuses = timezone.now(), Counter[int]()
    for _ in range(2):  # the second time after a restart
        with started(server) as process:
            try:
                sign_in_there = partial(Browser(server).sign_in, "dora", "wrong")
                with ThreadPoolExecutor(8) as threads:
                    statuses.update(threads.map(sign_in_there, range(16)))
            finally:
                process.terminate()
                process.wait(30)
    assert statuses[200] + statuses[429] == 32
    # And one more for each minute that a slow machine may have taken.
    assert 5 <= statuses[200] <= 5 + (timezone.now() - begun).total_seconds() / 60
