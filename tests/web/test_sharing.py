"""Alice shares a project with Bob, on the pages alone. Charlie must see nothing of it."""

from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD
from tests.folders import contents
from tests.web.pages import text_of, write_document
from utils.json_storage import json_storage
from web.sharing import views
from workspace.membership.members import Memberships

MEMBERS = Memberships(json_storage)


def signed_in(user: User) -> Client:
    client = Client()
    assert client.login(username=user.username, password=PASSWORD)
    return client


def leads_to_shared(page: HttpResponse) -> bool:
    """Whether its navigation does; the palette knows all pages."""
    return 'href="/shared/"' in page.content.decode().partition("<template")[0]


@pytest.fixture
def owner(alice: User) -> Client:
    """Alice's browser; she has a project."""
    json_storage.create("projects", alice.pk, {"name": "X-rays"})
    return signed_in(alice)


@pytest.fixture
def guest(bob: User) -> Client:
    return signed_in(bob)


@pytest.fixture
def joined(owner: Client, guest: Client, alice: User, bob: User) -> str:
    """Bob is a viewer of the project; the address of its members as he sees them."""
    MEMBERS.invite(alice.pk, 1, "bob", "viewer")
    MEMBERS.accept(bob.pk, 1)
    return f"/shared/{alice.pk}/projects/1/members/"


def roles(owner: User, project: int = 1) -> list[tuple[str, str, str]]:
    entries = MEMBERS.members(owner.pk, project)
    return [(entry["username"], entry["role"], entry["status"]) for entry in entries]


def last_activity(user: User) -> dict[str, Any]:
    return json_storage.activities(user.pk, 1)[0]


def after(client: Client, address: str, **typed: str) -> str:
    """Posts, and reads the page that one is sent to."""
    answer = client.post(address, typed)
    assert answer.status_code == 302, text_of(answer)
    return text_of(client.get(answer["Location"]))


def test_the_whole_walk(owner: Client, guest: Client, alice: User, bob: User) -> None:
    json_storage.create("tasks", alice.pk, {"title": "Read", "project_id": 1})
    page, theirs = "/projects/1/members/", f"/shared/{alice.pk}/projects/1/members/"
    assert not leads_to_shared(guest.get("/dashboard/"))
    assert "bob was invited." in after(owner, page, who="Bob", role="viewer")
    assert roles(alice) == [("bob", "viewer", "invited")]

    assert "You have 1 project invitation." in text_of(guest.get("/dashboard/"))
    assert "X-rays by alice Viewer" in text_of(guest.get("/shared/"))
    assert guest.get(theirs).status_code == 404  # who is only invited, sees no more than that
    accepted = after(guest, "/shared/invitations/1/accept/")
    assert "You joined “X-rays”." in accepted and theirs in guest.get("/shared/").content.decode()
    assert "waiting" not in text_of(guest.get("/dashboard/"))
    assert "alice Owner bob (you) Viewer since" in text_of(guest.get(theirs))

    assert "bob is now an editor." in after(owner, f"{page}{bob.pk}/role/", role="editor")
    assert roles(alice) == [("bob", "editor", "member")]
    assert "move into the files of bob" in text_of(owner.get(f"{page}{bob.pk}/hand-over/"))
    assert "is offered to bob" in after(owner, f"{page}{bob.pk}/hand-over/")
    assert "Offered the project" in text_of(owner.get(page))
    assert "alice offers you this project." in text_of(guest.get("/shared/"))
    assert "with 1 task." in text_of(guest.get("/shared/offers/1/accept/"))
    taken = after(guest, "/shared/offers/1/accept/", former_owner="editor")
    assert "“X-rays” is yours now." in taken
    assert roles(bob) == [("alice", "editor", "member")]
    assert [task["title"] for task in json_storage.list("tasks", bob.pk)] == ["Read"]

    there = f"/shared/{bob.pk}/projects/1/members/"
    assert "Leave this project?" in text_of(owner.get(f"{there}{alice.pk}/remove/"))
    assert "You left “X-rays”." in after(owner, f"{there}{alice.pk}/remove/")
    assert roles(bob) == []


def test_address_is_invited_joins_declines_and_refuses_for_good(
    owner: Client, guest: Client, alice: User, bob: User, sends_mail: None
) -> None:
    page = "/projects/1/members/"
    assert "bob@example.com was invited." in after(
        owner, page, who="Bob@example.com", role="viewer"
    )
    assert "bob@example.com Viewer Invited" in text_of(owner.get(page))
    dashboard = guest.get("/dashboard/")
    assert leads_to_shared(dashboard) and "You have 1 project invitation." in text_of(dashboard)
    shown = text_of(guest.get("/shared/"))
    assert "X-rays by alice Viewer bob@example.com" in shown
    assert "You declined" in after(guest, "/shared/addressed/1/decline/")
    assert "The invitation was canceled." in after(owner, f"{page}invitations/1/withdraw/")
    after(owner, page, who="bob@example.com", role="editor")
    assert "You joined “X-rays”." in after(guest, "/shared/addressed/2/accept/")
    json_storage.create("projects", alice.pk, {"name": "Second"})
    after(owner, "/projects/2/members/", who="bob", role="editor")
    assert "You declined 1 invitation." in after(guest, "/shared/decline-all/")
    after(owner, "/projects/2/members/", who="bob", role="editor")
    assert "cannot invite you any more" in after(guest, f"/shared/people/{alice.pk}/never/")
    refused = owner.post("/projects/2/members/", {"who": "bob", "role": "editor"})
    assert "Does not accept invitations from you." in text_of(refused)
    assert "People who cannot invite you" in text_of(guest.get("/settings/preferences/"))
    assert "can invite you again" in after(guest, f"/shared/people/{alice.pk}/allow/")
    assert "People who cannot" not in text_of(guest.get("/settings/preferences/"))


def test_offer_is_withdrawn_and_declined(
    owner: Client, guest: Client, joined: str, alice: User, bob: User
) -> None:
    page = f"/projects/1/members/{bob.pk}/"
    after(owner, f"{page}hand-over/")
    assert guest.post("/shared/offers/1/accept/", {"former_owner": "king"}).status_code == 422
    assert "The offer is withdrawn." in after(owner, f"{page}withdraw/")
    assert guest.get("/shared/offers/1/accept/").status_code == 404
    after(owner, f"{page}hand-over/")
    assert "You stay a member." in after(guest, "/shared/offers/1/decline/")
    assert json_storage.list("projects", bob.pk) == []
    assert roles(alice)[0][0] == "bob"


def test_a_member_is_taken_out_and_an_invitation_back(
    owner: Client, joined: str, alice: User, bob: User, charlie: User
) -> None:
    MEMBERS.invite(alice.pk, 1, "charlie", "editor")
    page = "/projects/1/members/"
    assert "Remove bob" in text_of(owner.get(f"{page}{bob.pk}/remove/"))
    assert "invitation of charlie" in text_of(owner.get(f"{page}{charlie.pk}/remove/"))
    assert "bob was removed." in after(owner, f"{page}{bob.pk}/remove/")
    assert "The invitation was canceled." in after(owner, f"{page}{charlie.pk}/remove/")
    assert roles(alice) == []
    assert owner.get(f"{page}{bob.pk}/remove/").status_code == 404


def test_an_invitation_is_declined(owner: Client, guest: Client, alice: User) -> None:
    MEMBERS.invite(alice.pk, 1, "bob", "viewer")
    assert "You declined" in after(guest, "/shared/invitations/1/decline/")
    assert roles(alice) == []
    assert guest.post("/shared/invitations/1/accept/").status_code == 404


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"who": "nobody", "role": "viewer"}, "Must be the name of an account."),
        ({"who": "alice", "role": "viewer"}, "Must be another person than the owner."),
        ({"who": "charlie", "role": "owner"}, "Select a valid choice."),
        ({"who": "", "role": "viewer"}, "This field is required."),
        ({"who": "bob", "role": "editor"}, "Is already a member."),
    ],
)
def test_faults_are_told_at_the_field(
    owner: Client, joined: str, charlie: User, typed: dict[str, str], said: str
) -> None:
    answer = owner.post("/projects/1/members/", typed)
    assert answer.status_code == 422
    assert said in text_of(answer)
    assert 'aria-invalid="true"' in answer.content.decode()
    assert owner.post("/projects/1/members/", typed | {"role": "king"}).status_code == 422


def test_invitation_activity_records_request_metadata(
    owner: Client, alice: User, bob: User
) -> None:
    typed = {"who": "bob", "role": "editor"}
    owner.post("/projects/1/members/", typed, headers={"User-Agent": "Tester/1"})
    activity = last_activity(alice)
    assert activity["type"] == "member_invited"
    assert activity["metadata"] == {
        "id": 1,
        "collection": "projects",
        "role": "editor",
        "ip_address": "127.0.0.1",
        "user_agent": "Tester/1",
    }


def _forged(client: Client, page: str, person: int) -> set[int]:
    """The answers to all that only an owner does."""
    sent = [
        (page, {"who": "charlie", "role": "editor"}),
        (page, {}),
        (f"{page}{person}/role/", {"role": "editor"}),
        (f"{page}{person}/role/", {}),
        (f"{page}{person}/hand-over/", {}),
        (f"{page}{person}/withdraw/", {}),
    ]
    return {client.post(address, typed).status_code for address, typed in sent}


def test_only_the_owner_decides(
    guest: Client, joined: str, bob: User, charlie: User, alice: User, data_folder: Path
) -> None:
    MEMBERS.invite(alice.pk, 1, "charlie", "viewer")
    before = contents(data_folder)
    assert _forged(guest, joined, bob.pk) == {403}
    assert guest.post(f"{joined}{charlie.pk}/remove/").status_code == 403
    for words in ("Invite someone", "Make editor", "Transfer", "Remove", "Cancel invitation"):
        assert words not in text_of(guest.get(joined))
    assert contents(data_folder) == before


def test_a_stranger_finds_nothing(joined: str, bob: User, charlie: User, data_folder: Path) -> None:
    stranger = signed_in(charlie)
    before = contents(data_folder)
    for page in (joined, "/projects/1/members/"):
        assert stranger.get(page).status_code == 404
        assert _forged(stranger, page, bob.pk) == {404}
        assert stranger.get(f"{page}{bob.pk}/remove/").status_code == 404
        assert stranger.post(f"{page}{bob.pk}/remove/").status_code == 404
    assert contents(data_folder) == before


def test_a_page_that_believes_in_its_address_is_noticed(
    guest: Client,
    joined: str,
    bob: User,
    charlie: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planted: the owner of the address, and not who looks, is the one who acts."""

    def believes(request: Any, record_id: int, owner: int | None) -> views.ProjectPage:
        whose = owner or request.user.pk
        project = json_storage.get("projects", whose, record_id)
        return views.ProjectPage(whose, whose, project, joined)

    monkeypatch.setattr(views, "_place", believes)
    stranger = signed_in(charlie)
    assert stranger.get(joined).status_code == 200  # as the test above would see
    # The store asks once more, by itself.
    assert _forged(guest, joined, bob.pk) >= {403}
    assert stranger.post(f"{joined}{bob.pk}/remove/").status_code == 404


def test_shared_page_tolerates_malformed_index(guest: Client, bob: User, data_folder: Path) -> None:
    odd = [{"id": 1}, {"id": 2, "owner": -7, "project_id": 1}, "text", {"id": True, "owner": 1}]
    whole = {"id": 3, "owner": 777, "project_id": 4, "role": 5, "status": None, "since": []}
    write_document(data_folder, f"shared/shared_{bob.pk}.json", {"shared": [*odd, whole]})
    page = guest.get("/shared/")
    assert page.status_code == 200
    assert "Untitled project by #777" in text_of(page)
    assert guest.get("/dashboard/").status_code == 200


def test_a_file_that_cannot_be_read_is_told_and_costs_itself_only(
    guest: Client, bob: User, data_folder: Path
) -> None:
    write_document(data_folder, f"shared/shared_{bob.pk}.json", '{"shared": [,')
    page = guest.get("/shared/")
    assert page.status_code == 503
    assert f"shared/shared_{bob.pk}.json cannot be read." in text_of(page)
    assert guest.get("/dashboard/").status_code == 200


def test_one_finds_the_way(owner: Client, guest: Client, joined: str) -> None:
    for page in ("/projects/", "/projects/1/edit/"):
        assert b'href="/projects/1/members/"' in owner.get(page).content
    assert leads_to_shared(guest.get("/tasks/"))
    assert not leads_to_shared(owner.get("/tasks/"))
