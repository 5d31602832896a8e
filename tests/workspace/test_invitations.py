"""Invitations to addresses tell nothing of accounts; floods of invitations are bounded."""

from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from pytest_django.fixtures import Settings

from accounts import invited_addresses as addressed
from accounts.addresses import take
from accounts.models import AddressInvitation, User
from docstore import NotFound, Transaction
from tests.conftest import proves
from tests.folders import contents
from utils.json_storage import json_storage
from workspace.actor import Actor
from workspace.documents import key_of
from workspace.idempotency import IdempotencyKey
from workspace.membership.invitations import Invitations
from workspace.membership.members import OPEN_MAX, Memberships
from workspace.schema.validation import InvalidRecord
from workspace.sharing.permissions import Forbidden, Grant
from workspace.unit_of_work import WriteOptions

pytestmark = pytest.mark.django_db(transaction=True)

MEMBERS, INVITATIONS = Memberships(json_storage), Invitations(json_storage)
BOB = "bob@example.com"


@pytest.fixture(autouse=True)
def _mail(sends_mail: None) -> None:
    """Addresses can be proved."""


@pytest.fixture
def project(alice: User) -> int:
    return int(json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"])


def invite(owner: User, project: int, who: str, **call: Any) -> dict[str, Any]:
    return MEMBERS.invite(owner.pk, project, who, "editor", **call)


def told(owner: User, project: int) -> Any:
    """Return all that the owner can read of the project's members."""
    return json_storage.get("projects", owner.pk, project)["team_members"]


def test_invitation_to_an_address_is_the_same_with_and_without_an_account(
    alice: User, bob: User, project: int
) -> None:
    entries = [invite(alice, project, who) for who in ("BOB@example.com", "nobody@example.com")]
    shapes = [{key: value for key, value in one.items() if key not in _OWN} for one in entries]
    assert shapes[0] == shapes[1]
    assert [one["address"] for one in entries] == [BOB, "nobody@example.com"]
    text = str(told(alice, project)) + str(json_storage.activities(alice.pk))
    assert "user_id" not in str(told(alice, project)) and "'bob'" not in text
    assert json_storage.list("shared", bob.pk) == []


_OWN = {"address", "invitation", "invited_at"}


def test_invited_address_joins_once_it_is_proved(
    alice: User, bob: User, charlie: User, project: int
) -> None:
    number = invite(alice, project, "new@corp.example")["invitation"]
    squatter = User.objects.create_user("squatter", "new@corp.example", "x")
    for stranger in (bob, squatter):
        assert INVITATIONS.waiting(stranger.pk) == []
        with pytest.raises(NotFound):
            INVITATIONS.accept(stranger.pk, number)
    boss = proves(User.objects.create_user("boss", "new@corp.example", "x"))
    take(boss, boss.email)
    (waiting,) = INVITATIONS.waiting(boss.pk)
    assert (waiting["owner_name"], waiting["project_name"]) == ("alice", "X-rays")
    joined = INVITATIONS.accept(boss.pk, number)
    assert (joined["role"], joined["status"]) == ("editor", "member")
    (entry,) = MEMBERS.members(alice.pk, project)
    assert (entry["user_id"], entry["username"]) == (boss.pk, "boss")
    assert INVITATIONS.waiting(boss.pk) == [] and not AddressInvitation.objects.exists()
    json_storage.create(
        "tasks", alice.pk, {"title": "x", "project_id": project}, caller=Actor(boss.pk)
    )


def test_address_that_was_lost_answers_no_invitation(alice: User, bob: User, project: int) -> None:
    number = invite(alice, project, BOB)["invitation"]
    assert len(INVITATIONS.waiting(bob.pk)) == 1
    EmailAddress.objects.filter(user=bob).delete()
    assert INVITATIONS.waiting(bob.pk) == []
    with pytest.raises(NotFound):
        INVITATIONS.accept(bob.pk, number)


def test_declining_by_address_tells_the_owner_nothing(alice: User, bob: User, project: int) -> None:
    number = invite(alice, project, BOB)["invitation"]
    before = told(alice, project), json_storage.activities(alice.pk)
    INVITATIONS.decline(bob.pk, number)
    assert INVITATIONS.waiting(bob.pk) == []
    assert (told(alice, project), json_storage.activities(alice.pk)) == before
    with pytest.raises(NotFound):
        INVITATIONS.accept(bob.pk, number)
    MEMBERS.withdraw(alice.pk, project, number)
    invite(alice, project, BOB)
    assert len(INVITATIONS.waiting(bob.pk)) == 1


def test_refused_invitation_to_an_address_leaves_nothing(
    alice: User, bob: User, project: int, data_folder: Path, settings: Settings
) -> None:
    before = contents(data_folder)
    for who in ("no@address", "a@b@c.example", "x" * 250 + "@example.com"):
        with pytest.raises(InvalidRecord, match="a username or an email address"):
            invite(alice, project, who)
    with pytest.raises(NotFound):
        invite(alice, project, BOB, caller=Actor(bob.pk))
    settings.NEURALFLOW_SENDS_MAIL = False
    for who in (BOB, "nobody@example.com"):
        with pytest.raises(InvalidRecord, match="cannot confirm email"):
            invite(alice, project, who)
    assert contents(data_folder) == before and not AddressInvitation.objects.exists()


def test_answer_of_an_invitation_to_an_address_is_kept(
    alice: User, bob: User, project: int
) -> None:
    number = invite(alice, project, BOB)["invitation"]
    for replayed in (False, True):
        once = IdempotencyKey("k", "f")
        assert INVITATIONS.accept(bob.pk, number, once=once)["status"] == "member"
        assert once.replayed is replayed


def test_answer_to_one_invitation_changes_no_other(alice: User, bob: User, project: int) -> None:
    number = invite(alice, project, BOB)["invitation"]
    other = invite(alice, project, "nobody@example.com")["invitation"]
    key = key_of("projects", alice.pk)

    def forged(members: list[Any]) -> Any:
        def edit(transaction: Transaction) -> None:
            transaction.put(key, {**transaction.record(key, project), "team_members": members})

        return edit

    first, second = told(alice, project)
    mine = {"user_id": bob.pk, "username": "bob", "role": "editor", "status": "member"}
    for members in ([first, mine], [mine], [second, mine | {"role": "owner"}], [mine, first]):
        for answers in (None, number, other + 1):
            with pytest.raises(Forbidden):
                json_storage.change(
                    alice.pk,
                    forged(members),
                    WriteOptions(
                        caller=Actor(bob.pk), licence=Grant(members=True, answers=answers)
                    ),
                )


def test_one_owner_has_few_open_invitations_to_one_person(alice: User, bob: User) -> None:
    projects = [
        json_storage.create("projects", alice.pk, {"name": str(number)})["id"]
        for number in range(OPEN_MAX + 1)
    ]
    for who, count in (("bob", OPEN_MAX), (BOB, OPEN_MAX), ("nobody@example.com", OPEN_MAX)):
        for project in projects[:count]:
            invite(alice, project, who)
        with pytest.raises(InvalidRecord, match="open invitations from you"):
            invite(alice, projects[-1], who)
    assert INVITATIONS.decline_all(bob.pk) == 2 * OPEN_MAX
    assert json_storage.list("shared", bob.pk) == []
    assert INVITATIONS.waiting(bob.pk) == []
    invite(alice, projects[-1], "bob")


def test_flood_by_strangers_keeps_no_acquaintance_away(
    alice: User, bob: User, charlie: User, project: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workspace.membership.members.SHARED_MAX", 2)
    theirs = json_storage.create("projects", bob.pk, {"name": "Bob's"})["id"]
    invite(bob, theirs, "alice")
    MEMBERS.accept(alice.pk, json_storage.list("shared", alice.pk)[-1]["id"])
    for number in range(3):
        stranger = User.objects.create_user(f"stranger{number}", "", "x")
        place = json_storage.create("projects", stranger.pk, {"name": "Spam"})["id"]
        if number < 2:
            invite(stranger, place, "bob")
        else:
            with pytest.raises(InvalidRecord, match="the limit of projects and invitations"):
                invite(stranger, place, "bob")
    invite(alice, project, "bob")


def test_invitations_of_deleted_projects_hide_no_other(
    alice: User, bob: User, charlie: User, project: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addressed, "LISTED_MAX", 10)
    monkeypatch.setattr(addressed, "UNCHECKED_OF_OWNER", 5)
    invite(alice, project, BOB)
    for number in range(12):
        for address in (BOB, f"nobody{number}@example.com"):
            spam = json_storage.create("projects", charlie.pk, {"name": "Spam"})["id"]
            invite(charlie, spam, address)
            json_storage.delete("projects", charlie.pk, spam)
    assert [one["owner"] for one in INVITATIONS.waiting(bob.pk)] == [alice.pk]
    assert AddressInvitation.objects.filter(owner=charlie.pk).count() <= 15


def test_invitation_of_a_deleted_project_waits_for_nobody(
    alice: User, bob: User, project: int
) -> None:
    invite(alice, project, BOB)
    assert INVITATIONS.is_waiting(bob.pk)
    json_storage.delete("projects", alice.pk, project)
    assert AddressInvitation.objects.exists()
    assert not INVITATIONS.is_waiting(bob.pk)


def test_new_accounts_displace_no_invitation_of_an_older_one(
    alice: User, bob: User, project: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addressed, "LISTED_MAX", 4)
    theirs = json_storage.create("projects", bob.pk, {"name": "Bob's"})["id"]
    strangers = [User.objects.create_user(f"stranger{n}", "", "x") for n in range(4)]
    friend = User.objects.create_user("friend", "", "x")
    for person in (friend, alice):
        place = json_storage.create("projects", person.pk, {"name": "Of a friend"})["id"]
        invite(person, place, BOB)
    invite(bob, theirs, "friend")
    MEMBERS.accept(friend.pk, 1)
    invite(friend, json_storage.create("projects", friend.pk, {"name": "Joined"})["id"], "bob")
    MEMBERS.accept(bob.pk, json_storage.list("shared", bob.pk)[-1]["id"])
    for stranger in strangers:
        for _ in range(OPEN_MAX):
            spam = json_storage.create("projects", stranger.pk, {"name": "Spam"})["id"]
            invite(stranger, spam, BOB)
    owners = [invitation["owner"] for invitation in INVITATIONS.waiting(bob.pk)]
    assert set(owners) == {alice.pk, friend.pk, strangers[0].pk, strangers[1].pk}
    assert INVITATIONS.decline_all(bob.pk) == 4
    assert len(INVITATIONS.waiting(bob.pk)) == 4


def test_new_accounts_fill_nobodys_list_for_an_older_one(
    alice: User, bob: User, project: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workspace.membership.members.SHARED_MAX", 2)
    for number in range(2):
        stranger = User.objects.create_user(f"stranger{number}", "", "x")
        spam = json_storage.create("projects", stranger.pk, {"name": "Spam"})["id"]
        invite(stranger, spam, "bob")
    invite(alice, project, "bob")


def test_only_an_inviter_can_be_blocked(alice: User, bob: User, charlie: User) -> None:
    with pytest.raises(NotFound):
        INVITATIONS.never(bob.pk, charlie.pk)
    assert INVITATIONS.refused(bob.pk) == []


def test_open_invitations_are_never_forgotten(
    alice: User, project: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addressed, "UNCHECKED_OF_OWNER", 0)
    for number in range(8):
        invite(alice, project, f"nobody{number}@example.com")
    assert AddressInvitation.objects.filter(owner=alice.pk).count() == 8


def test_refused_inviters_are_bounded(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addressed, "REFUSED_MAX", 3)
    for inviter in range(1_001, 1_006):
        addressed.refuse_inviter(bob.pk, inviter)
    assert addressed.refused_inviters(bob.pk) == [1_005, 1_004, 1_003]


def test_never_again_holds_until_it_is_taken_back(alice: User, bob: User, project: int) -> None:
    other = json_storage.create("projects", alice.pk, {"name": "Other"})["id"]
    invite(alice, project, "bob")
    invite(alice, other, BOB)
    assert INVITATIONS.never(bob.pk, alice.pk) == 2
    assert INVITATIONS.refused(bob.pk) == [(alice.pk, "alice")]
    with pytest.raises(InvalidRecord, match="does not accept invitations"):
        invite(alice, project, "bob")
    invite(alice, project, BOB)  # by address, nothing is told
    assert INVITATIONS.waiting(bob.pk) == []
    addressed.allow_inviter(bob.pk, alice.pk)
    assert len(INVITATIONS.waiting(bob.pk)) == 1
    invite(alice, project, "bob")
