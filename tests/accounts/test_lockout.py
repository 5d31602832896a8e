"""Nobody is locked out by strangers, and no door of guesses is left: what each limit counts."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import guards
from accounts.models import User
from accounts.throttle import Limit
from tests.accounts.test_mfa import code_of, turn_on
from tests.accounts.test_password import reset_link
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _mail(settings: Settings) -> None:
    """Mail reaches people, whose addresses are of an older release: they need no proof."""
    settings.NEURALFLOW_SENDS_MAIL = True


HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"
NEW = "Mice-sleep-by-day"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stand still, and go on by the seconds it is called with."""
    now = [timezone.now()]
    monkeypatch.setattr("accounts.throttle.timezone.now", lambda: now[0])

    def go_on(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    return go_on


def sign_in(
    client: Client | None = None, password: str = "wrong", at: str = HERE, name: str = "alice"
) -> int:
    form = {"login": name, "password": password}
    answer = (client or Client()).post("/accounts/login/", form, REMOTE_ADDR=at)
    return int(answer.status_code)


def known_browser(name: str = "alice") -> Client:
    """A browser in which somebody signed in, and out again."""
    client = Client()
    assert sign_in(client, PASSWORD, name=name) == 302
    client.post("/accounts/logout/")
    assert client.get("/accounts/profile/").status_code == 302
    return client


def use_up(at: str = HERE) -> None:
    for name in ("alice", "alice@example.com"):
        while sign_in(at=at, name=name) == 200:
            pass


def addresses() -> Iterator[str]:
    yield from (f"203.0.{block}.{host}" for block in range(2, 250) for host in (1, 2, 3))


def test_browser_that_signed_in_before_is_not_locked_out_by_strangers(
    alice: User, bob: User
) -> None:
    owner, other = known_browser(), known_browser("bob")
    for at in (HERE, ELSEWHERE):
        use_up(at)
    assert sign_in(password=PASSWORD) == 429
    assert sign_in(other, PASSWORD) == 429  # it is known to another account
    assert sign_in(owner, PASSWORD) == 302


def test_known_browser_has_a_count_of_its_own(alice: User) -> None:
    owner, second = known_browser(), known_browser()
    own = guards.KNOWN.most + guards.HERE.most  # then it is as good as a stranger
    assert [sign_in(owner) for _ in range(own + 1)] == [200] * own + [429]
    assert sign_in(second, PASSWORD) == 302


@pytest.mark.parametrize("forged", ["changed", "moved", "of an earlier password"])
def test_cookie_that_is_not_this_accounts_is_a_strangers(alice: User, forged: str) -> None:
    owner = known_browser()
    name = django_settings.NEURALFLOW_KNOWN_COOKIE_NAME
    value = owner.cookies[name].value
    if forged == "of an earlier password":
        alice.set_password(NEW)
        alice.save()
    else:
        owner.cookies[name] = f"x{value}" if forged == "changed" else value.partition(":")[2]
    use_up()
    assert sign_in(owner, NEW if "password" in forged else PASSWORD) == 429


def test_cookie_opens_nothing_and_holds_no_name(alice: User) -> None:
    owner = known_browser()
    cookie = owner.cookies[django_settings.NEURALFLOW_KNOWN_COOKIE_NAME]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    assert "alice" not in cookie.value
    assert owner.get("/accounts/profile/").status_code == 302
    assert owner.get("/accounts/api/tasks/").status_code == 401


def test_strangers_elsewhere_do_not_lock_out_a_new_browser(alice: User) -> None:
    use_up(ELSEWHERE)
    assert sign_in(password=PASSWORD, at=ELSEWHERE) == 429
    assert sign_in(password=PASSWORD) == 302


def test_guesses_from_many_networks_slow_each_down_and_refuse_no_first_one(
    alice: User, monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    monkeypatch.setattr(guards, "NAME", Limit("name", 20, 3600))
    many = addresses()
    for _ in range(5):
        use_up(next(many))
    tight = guards.HERE_TIGHT.most
    for at in (next(many), next(many)):
        assert [sign_in(at=at) for _ in range(tight + 1)] == [200] * tight + [429]
    assert sign_in(password=PASSWORD, at=next(many)) == 302
    assert sign_in(name="bob", at=next(many)) == 200
    clock(2 * 3600)
    last = next(many)
    assert [sign_in(at=last) for _ in range(6)] == [200] * 5 + [429]


def test_spraying_of_many_names_slows_each_network_down(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "SITE", Limit("site", 20, 3600))
    many = addresses()
    for number in range(22):
        assert sign_in(name=f"somebody{number}", at=next(many)) == 200
    owner_at, most = next(many), guards.ADDRESS_TIGHT.most
    statuses = [sign_in(name=f"another{number}", at=next(many)) for number in range(3)]
    assert statuses == [200] * 3
    at = next(many)
    statuses = [sign_in(name=f"person{number}", at=at) for number in range(most + 1)]
    assert statuses == [200] * most + [429]
    assert sign_in(password=PASSWORD, at=owner_at) == 302


@pytest.mark.parametrize(
    ("networks", "most"),
    [
        ("2001:db8:0:1::{}", 20),  # one /64
        ("2001:db8:0:{:x}::1", 10),  # one /56
        ("2001:db8:0:{:x}00::1", 12),  # one /48
        ("198.51.100.{}", 11),  # one /24
    ],
)
def test_each_network_has_a_limit(
    monkeypatch: pytest.MonkeyPatch, networks: str, most: int
) -> None:
    if most != guards.ADDRESS.most:
        monkeypatch.setitem(guards.NETWORKS_6, 56, Limit("56", 10, 300))
        monkeypatch.setitem(guards.NETWORKS_6, 48, Limit("48", 12, 300))
        monkeypatch.setitem(guards.NETWORKS_4, 24, Limit("24", 11, 300))
    for number in range(most):
        assert sign_in(name=f"n{number}", at=networks.format(number)) == 200
    assert sign_in(name="another", at=networks.format(most)) == 429
    assert sign_in(name="another", at="2001:db8:ffff::1") == 200


def test_signed_in_person_proves_who_they_are_whatever_strangers_do(alice: User) -> None:
    owner = Client()
    assert sign_in(owner, PASSWORD) == 302
    for at in (HERE, ELSEWHERE):
        use_up(at)
    answer = owner.post("/accounts/reauthenticate/", {"password": PASSWORD}, REMOTE_ADDR=HERE)
    assert answer.status_code == 302


def prove(client: Client, password: str = "wrong") -> int:
    return int(client.post("/accounts/reauthenticate/", {"password": password}).status_code)


def test_old_password_counts_as_any_other_proof_in_the_session(alice: User) -> None:
    thief, owner = Client(), Client()
    for client in (thief, owner):
        sign_in(client, PASSWORD)
    assert [prove(thief) for _ in range(3)] == [200] * 3

    def change(client: Client, old: str) -> int:
        form = {"oldpassword": old, "password1": NEW, "password2": NEW}
        return int(client.post("/accounts/password/change/", form).status_code)

    assert [change(thief, "wrong") for _ in range(3)] == [200, 200, 429]
    assert change(thief, PASSWORD) == 429
    assert prove(thief, PASSWORD) == 429
    assert prove(owner, PASSWORD) == 302


def test_proofs_in_a_session_get_rare_within_a_day(
    alice: User, clock: Callable[[float], None]
) -> None:
    thief, wrong = Client(), 0
    sign_in(thief, PASSWORD)
    for _ in range(72):  # half a day, each ten minutes
        form = {"oldpassword": "wrong", "password1": NEW, "password2": NEW}
        wrong += thief.post("/accounts/password/change/", form).status_code == 200
        clock(600)
    assert 30 < wrong <= 30 + 15 + 1


def code_statuses(client: Client, *codes: str) -> list[int]:
    sign_in(client, PASSWORD)
    return [
        int(client.post("/accounts/2fa/authenticate/", {"code": code}).status_code)
        for code in codes
    ]


def test_codes_get_rare_within_a_day_and_the_owner_hears_of_it(
    alice: User, clock: Callable[[float], None]
) -> None:
    turn_on(Client(), alice)
    thief, wrong = Client(), 0
    sign_in(thief, PASSWORD)
    for _ in range(48):  # half a day, each quarter of an hour
        wrong += code_statuses(thief, "000000") == [200]
        clock(900)
    assert 20 < wrong <= 20 + 10 + 1
    assert [message.to for message in mail.outbox] == [["alice@example.com"]]
    assert "Whoever gave them has your password" in mail.outbox[0].body


def test_notice_is_in_the_language_of_its_reader(alice: User) -> None:
    from utils.json_storage import json_storage

    turn_on(Client(), alice)
    json_storage.change_preferences(alice.pk, {"language": "es"})
    code_statuses(Client(headers={"accept-language": "en"}), *["000000"] * 4)
    assert "contraseña" in mail.outbox[-1].body


def test_codes_of_a_known_browser_are_not_used_up_by_who_knows_the_password(alice: User) -> None:
    secret, _codes = turn_on(Client(), alice)
    owner = Client()
    code_statuses(owner, code_of(secret))
    owner.post("/accounts/logout/")
    thief = Client()
    assert code_statuses(thief, *["000000"] * 6)[-1] == 429
    assert code_statuses(thief, code_of(secret)) == [429]
    assert code_statuses(owner, code_of(secret)) == [302]


def test_reset_lets_in_where_strangers_use_up_the_network(alice: User) -> None:
    owner = Client(REMOTE_ADDR=HERE)
    form_page = owner.get(reset_link(owner, "alice@example.com"))["Location"]
    owner.post(form_page, {"password1": NEW, "password2": NEW})
    for number in range(guards.ADDRESS.most):
        sign_in(name=f"n{number}")
    use_up()
    assert sign_in(password=NEW) == 429
    assert sign_in(owner, NEW) == 302


def test_reset_gives_no_further_codes(alice: User) -> None:
    turn_on(Client(), alice)
    reader = Client()  # of the person's mail
    form_page = reader.get(reset_link(reader, "alice@example.com"))["Location"]
    reader.post(form_page, {"password1": NEW, "password2": NEW})
    for client in (Client(), reader):
        sign_in(client, NEW)
        statuses = [
            client.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code
            for _ in range(6)
        ]
        assert statuses == ([429] * 6 if client is reader else [200] * 5 + [429])


def test_any_use_of_it_moves_a_known_browser_up(alice: User, bob: User) -> None:
    """Beyond five accounts the one that was used least lately is forgotten."""
    client = Client()
    people = [User.objects.create_user(f"p{n}", f"p{n}@example.com", PASSWORD) for n in range(5)]
    for name in ("alice", *(person.username for person in people[:4]), "alice", "p4"):
        assert sign_in(client, PASSWORD, name=name) == 302
        client.post("/accounts/logout/")
    for number in range(guards.ADDRESS.most):
        sign_in(name=f"n{number}")
    assert sign_in(client, PASSWORD) == 302
    client.post("/accounts/logout/")
    assert sign_in(client, PASSWORD, name="p0") == 429
