"""The sharing pages: members of a project, and what other users share with this one.

`workspace.membership.members` implements the changes, which the API offers, too. Members of the
user's own project are at /projects/3/members/, those of another user's at
/shared/7/projects/3/members/, where 7 is the owner.
"""

from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from docstore import Corrupt, NotFound
from utils.middleware import StorageRequest, request_metadata, storage_refusal
from web.error_messages import sentence
from web.labels import WORDS, Text
from web.presenters import SharedRow, shared_rows, team_of, title_of
from web.record_scope import project_address
from workspace.actor import Actor
from workspace.installation import installation
from workspace.member_entries import OFFERED, addressed_of, entries_of
from workspace.membership.invitations import Invitations
from workspace.membership.members import CallOptions, Memberships
from workspace.schema.validation import COLLECTIONS, InvalidRecord
from workspace.sharing.permissions import Forbidden

UNPROCESSABLE = 422
ROLE_WORDS = [
    ("viewer", gettext_lazy("Viewer: can view the project and its tasks")),
    ("editor", gettext_lazy("Editor: can also edit")),
]

Record = dict[str, Any]


class InviteForm(forms.Form):
    """A form for the user to invite and their role."""

    who = forms.CharField(
        label=gettext_lazy("Username or email address"),
        max_length=254,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    role = forms.ChoiceField(
        label=gettext_lazy("Role"),
        choices=ROLE_WORDS,
        initial="viewer",
        widget=forms.RadioSelect,
    )

    def add_faults(self, invalid: InvalidRecord) -> None:
        """Add each fault to the field that it concerns."""
        for fault in invalid.errors:
            name = fault.pointer.removeprefix("/")
            self.add_error(name if name in self.fields else None, sentence(fault.detail))


class TakeOverForm(forms.Form):
    """A form for the former owner's role after a transfer."""

    former_owner = forms.ChoiceField(
        label=gettext_lazy("The former owner stays"),
        choices=[
            *ROLE_WORDS,
            ("none", gettext_lazy("Nothing: leaves the project")),
        ],
        initial="viewer",
        widget=forms.RadioSelect,
    )


@dataclass(frozen=True)
class ProjectPage:
    """The project of a page, and the user who views it."""

    person: int
    owner: int
    project: Record
    address: str  # URL of its members page

    @property
    def is_own(self) -> bool:
        return self.person == self.owner

    @property
    def title(self) -> Text:
        return title_of(COLLECTIONS["projects"], self.project)

    @property
    def project_address(self) -> str:
        """The URL of the project's own page."""
        return project_address(
            "project_detail", self.project["id"], None if self.is_own else self.owner
        )

    @property
    def entries(self) -> list[Record]:
        """The member entries, members before invited users."""
        entries = entries_of(self.project).values()
        return sorted(entries, key=lambda entry: entry["status"] != "member")

    @property
    def waiting(self) -> list[Record]:
        """The invitations to e-mail addresses."""
        return list(addressed_of(self.project).values())

    @property
    def team(self) -> list[str]:
        """The names in the list of members that give no access."""
        return team_of(self.project)

    def entry(self, person: int) -> Record:
        """Return the member entry of a user. Raises `NotFound`."""
        entry = entries_of(self.project).get(person)
        if entry is None:
            raise NotFound(f"there is no member {person}")
        return entry

    def require_owner(self) -> None:
        """Raise `Forbidden` unless the user is the owner. The manager checks this, too."""
        if not self.is_own:
            raise Forbidden("only its owner decides who shares a project")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def members(request: StorageRequest, record_id: int, owner: int | None = None) -> HttpResponse:
    """List members and invited users. The owner can invite here."""
    place = _place(request, record_id, owner)
    if request.method != "POST":
        return _members_page(request, place, InviteForm())
    place.require_owner()
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _members_page(request, place, form, UNPROCESSABLE)
    values = form.cleaned_data
    try:
        entry = _memberships(request).invite(
            place.owner, record_id, values["who"], values["role"], **_call(request)
        )
    except InvalidRecord as invalid:
        form.add_faults(invalid)
        return _members_page(request, place, form, UNPROCESSABLE)
    messages.success(request, _("%(name)s was invited.") % {"name": _name(entry)})
    return HttpResponseRedirect(place.address)


@require_POST
@login_required
def member_role(
    request: StorageRequest, record_id: int, person: int, owner: int | None = None
) -> HttpResponse:
    """Change the role of a member or invited user."""
    place = _place(request, record_id, owner)
    role = request.POST.get("role", "")
    try:
        entry = _memberships(request).change_role(
            place.owner, record_id, person, role, **_call(request)
        )
    except InvalidRecord:  # cannot be sent by our forms
        return render(request, "400.html", {"status": UNPROCESSABLE}, status=UNPROCESSABLE)
    done = _("%(name)s is now an editor.") if role == "editor" else _("%(name)s is now a viewer.")
    messages.success(request, done % {"name": _name(entry)})
    return HttpResponseRedirect(place.address)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def member_remove(
    request: StorageRequest, record_id: int, person: int, owner: int | None = None
) -> HttpResponse:
    """Ask for confirmation, then remove a member or invitation, or leave the project."""
    place = _place(request, record_id, owner)
    leaves = person == place.person != place.owner
    if not leaves:
        place.require_owner()
    entry = place.entry(person)
    if request.method != "POST":
        return _question(request, place, entry, "leave" if leaves else "remove")
    _memberships(request).remove(place.owner, record_id, person, **_call(request))
    if leaves:
        messages.success(request, _("You left “%(project)s”.") % {"project": place.title})
        return redirect("shared")
    done = (
        _("%(name)s was removed.")
        if entry["status"] == "member"
        else _("The invitation was canceled.")
    )
    messages.success(request, done % {"name": _name(entry)})
    return HttpResponseRedirect(place.address)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def hand_over(
    request: StorageRequest, record_id: int, person: int, owner: int | None = None
) -> HttpResponse:
    """Ask for confirmation, then offer the project to a member, who owns it by accepting."""
    place = _place(request, record_id, owner)
    place.require_owner()
    entry = place.entry(person)
    if entry["status"] != "member":
        raise NotFound(f"there is no member {person}")
    if request.method != "POST":
        return _question(request, place, entry, "hand_over")
    try:
        _memberships(request).offer(place.owner, record_id, person, **_call(request))
    except InvalidRecord as left:  # the member left at this moment
        raise NotFound(f"there is no member {person}") from left
    done = _("The project is offered to %(name)s. It stays yours until %(name)s accepts.")
    messages.success(request, done % {"name": _name(entry)})
    return HttpResponseRedirect(place.address)


@require_POST
@login_required
def offer_withdraw(
    request: StorageRequest, record_id: int, person: int, owner: int | None = None
) -> HttpResponse:
    """Withdraw the offer of a project."""
    place = _place(request, record_id, owner)
    _memberships(request).withdraw_offer(place.owner, record_id, **_call(request))
    messages.success(request, _("The offer is withdrawn."))
    return HttpResponseRedirect(place.address)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def offer_accept(request: StorageRequest, shared_id: int) -> HttpResponse:
    """Show what comes with a project that is offered, and take it over."""
    record = request.json_storage.get("shared", _person(request), shared_id)
    if not record.get(OFFERED):
        raise NotFound(f"there is no offer {shared_id}")
    (row,) = shared_rows([record])
    form = TakeOverForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {"row": row, "form": form, "tasks": _tasks_in(request, row)}
        status = UNPROCESSABLE if form.is_bound else 200
        return render(request, "sharing/offer.html", context, status=status)
    project = _memberships(request).take_over(
        _person(request), shared_id, form.cleaned_data["former_owner"], **_call(request)
    )
    messages.success(request, _("“%(project)s” is yours now.") % {"project": row.title})
    return redirect("project_detail", project["id"])


@require_POST
@login_required
def offer_refuse(request: StorageRequest, shared_id: int) -> HttpResponse:
    """Decline to own a project, and stay a member."""
    _memberships(request).refuse_offer(_person(request), shared_id, **_call(request))
    messages.success(request, _("You declined to own the project. You stay a member."))
    return redirect("shared")


@require_safe
@login_required
def shared(request: StorageRequest) -> HttpResponse:
    """List the projects that other users share with this one, and invitations."""
    person = _person(request)
    try:
        rows = shared_rows(request.json_storage.view("shared", person))
    except Corrupt as fault:
        return storage_refusal(request, fault, "sharing/shared.html", {"fault": fault})
    context = {
        "invitations": [row for row in rows if row.is_invitation],
        "joined": [row for row in rows if not row.is_invitation],
        "addressed": [
            _addressed_row(row) for row in _invitations(request).waiting(_person(request))
        ],
    }
    return render(request, "sharing/shared.html", context)


@require_POST
@login_required
def invitation_accept(request: StorageRequest, shared_id: int) -> HttpResponse:
    """Accept an invitation to a project."""
    record = _memberships(request).accept(_person(request), shared_id, **_call(request))
    joined = _("You joined “%(project)s”.") % {"project": record["project_name"]}
    messages.success(request, joined)
    return redirect("shared")


@require_POST
@login_required
def invitation_decline(request: StorageRequest, shared_id: int) -> HttpResponse:
    """Decline an invitation."""
    _memberships(request).decline(_person(request), shared_id, **_call(request))
    messages.success(request, _("You declined the invitation."))
    return redirect("shared")


@require_POST
@login_required
def invitation_withdraw(
    request: StorageRequest, record_id: int, number: int, owner: int | None = None
) -> HttpResponse:
    """Withdraw an invitation to an address."""
    place = _place(request, record_id, owner)
    _memberships(request).withdraw(place.owner, record_id, number, **_call(request))
    messages.success(request, _("The invitation was canceled."))
    return HttpResponseRedirect(place.address)


@require_POST
@login_required
def address_accept(request: StorageRequest, number: int) -> HttpResponse:
    """Join a project that an address of the user is invited to."""
    record = _invitations(request).accept(_person(request), number, **_call(request))
    joined = _("You joined “%(project)s”.") % {"project": record["project_name"]}
    messages.success(request, joined)
    return redirect("shared")


@require_POST
@login_required
def address_decline(request: StorageRequest, number: int) -> HttpResponse:
    """Decline an invitation to an address of the user."""
    _invitations(request).decline(_person(request), number, **_call(request))
    messages.success(request, _("You declined the invitation."))
    return redirect("shared")


@require_POST
@login_required
def decline_all(request: StorageRequest) -> HttpResponse:
    """Decline all open invitations."""
    count = _invitations(request).decline_all(_person(request), **_call(request))
    done = ngettext(
        "You declined %(count)d invitation.", "You declined %(count)d invitations.", count
    )
    messages.success(request, done % {"count": count})
    return redirect("shared")


@require_POST
@login_required
def never_again(request: StorageRequest, person: int) -> HttpResponse:
    """Decline all invitations of a user, now and in future."""
    _invitations(request).never(_person(request), person, **_call(request))
    messages.success(request, _("Declined. This person cannot invite you any more."))
    return redirect("shared")


@require_POST
@login_required
def allow_again(request: StorageRequest, person: int) -> HttpResponse:
    """Unblock a user's invitations."""
    installation.addresses.allow_inviter(_person(request), person)
    messages.success(request, _("This person can invite you again."))
    return redirect("preferences")


# Helpers


def _tasks_in(request: StorageRequest, row: SharedRow) -> int:
    """Return how many tasks come with the project."""
    tasks = request.json_storage.view("tasks", row.owner, caller=Actor(_person(request)))
    return sum(task.get("project_id") == row.project_id for task in tasks)


def _person(request: HttpRequest) -> int:
    return cast(int, request.user.pk)


def _invitations(request: StorageRequest) -> Invitations:
    return Invitations(request.json_storage)


def _addressed_row(invitation: Record) -> Record:
    """Return an invitation to an address as the page shows it."""
    untitled = WORDS["projects"].untitled
    return invitation | {"title": invitation["project_name"] or untitled}


def _memberships(request: StorageRequest) -> Memberships:
    return Memberships(request.json_storage)


def _call(request: StorageRequest) -> CallOptions:
    """Return the actor, and the metadata to log."""
    return CallOptions(caller=Actor(_person(request)), told=request_metadata(request))


def _place(request: StorageRequest, record_id: int, owner: int | None) -> ProjectPage:
    """Return the project of the page. `owner` is None for the user's own.

    Raises `NotFound` if the user may not see it.
    """
    person = _person(request)
    whose = person if owner is None else owner
    project = request.json_storage.get("projects", whose, record_id, caller=Actor(person))
    return ProjectPage(person, whose, project, project_address("project_members", record_id, owner))


def _members_page(
    request: StorageRequest, place: ProjectPage, form: InviteForm, status: int = 200
) -> HttpResponse:
    context = {"place": place, "form": form, "owner_name": _owner_name(request, place)}
    return render(request, "sharing/members.html", context, status=status)


def _question(
    request: StorageRequest, place: ProjectPage, entry: Record, asked: str
) -> HttpResponse:
    context = {"place": place, "entry": entry, "name": _name(entry), "asked": asked}
    return render(request, "sharing/confirm.html", context)


def _owner_name(request: StorageRequest, place: ProjectPage) -> str:
    """Return the name of the project's owner, from the user's memberships if it is another user."""
    if place.is_own:
        return request.user.get_username()
    records = request.json_storage.view("shared", place.person)
    names = [row.owner_name for row in shared_rows(records) if _is_of(row, place)]
    return names[0] if names else f"#{place.owner}"


def _is_of(row: SharedRow, place: ProjectPage) -> bool:
    return (row.owner, row.project_id) == (place.owner, place.project["id"])


def _name(entry: Record) -> str:
    return str(entry.get("username") or entry.get("address") or f"#{entry['user_id']}")
