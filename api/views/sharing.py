"""API endpoints of sharing: members of a project, the caller's memberships, transfer of ownership.

`workspace.membership.members` implements the operations. This module parses and answers the calls.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from django.http import HttpResponse
from django.urls import reverse

from api.body_objects import read_members
from api.endpoint import endpoint
from api.metering import call_metadata, idempotency_key, metered_read, replayed
from api.operation import JSON, MERGE_PATCH, WITH_BODY, Answer, Operation, answers, ref
from api.preconditions import refuse_conditions
from api.request import ApiRequest
from api.responses import json_response, no_content
from utils.middleware import request_metadata
from workspace.idempotency import IdempotencyKey
from workspace.installation import installation
from workspace.json_values import FieldError
from workspace.membership.invitations import Invitations
from workspace.membership.members import CallOptions, Memberships
from workspace.schema.validation import InvalidRecord, Record


def _members(request: ApiRequest, record_id: int, owner: int | None = None) -> HttpResponse:
    def look() -> Any:
        return _memberships(request).members(
            owner or request.caller.user_id, record_id, caller=request.caller
        )

    members = metered_read(request, look)
    return json_response({"members": members, "total": len(members)})


def _invite(request: ApiRequest, record_id: int, owner: int | None = None) -> HttpResponse:
    body = read_members(request, who=str, role=str)
    call, whose = _call(request), owner or request.caller.user_id
    entry = _memberships(request).invite(whose, record_id, body["who"], body["role"], **call)
    if "user_id" in entry:
        location = f"{request.path}{entry['user_id']}/"
    else:
        project = request.path.removesuffix("members/")
        location = f"{project}invitations/{entry['invitation']}/"
    return json_response(entry, 201, {"Location": location, **replayed(call.get("once"))})


def _change_role(
    request: ApiRequest, record_id: int, person: int, owner: int | None = None
) -> HttpResponse:
    body = read_members(request, role=str)
    call, whose = _call(request), owner or request.caller.user_id
    entry = _memberships(request).change_role(whose, record_id, person, body["role"], **call)
    return json_response(entry, 200, replayed(call.get("once")))


def _remove(
    request: ApiRequest, record_id: int, person: int, owner: int | None = None
) -> HttpResponse:
    refuse_conditions(request)
    call, whose = _call(request), owner or request.caller.user_id
    _memberships(request).remove(whose, record_id, person, **call)
    return no_content()


def _offer(request: ApiRequest, record_id: int, owner: int | None = None) -> HttpResponse:
    body = read_members(request, to=int)
    call, whose = _call(request), owner or request.caller.user_id
    entry = _memberships(request).offer(whose, record_id, body["to"], **call)
    return json_response(entry, 200, replayed(call.get("once")))


def _withdraw(request: ApiRequest, record_id: int, owner: int | None = None) -> HttpResponse:
    refuse_conditions(request)
    call, whose = _call(request), owner or request.caller.user_id
    _memberships(request).withdraw_offer(whose, record_id, **call)
    return no_content()


def _take_over(request: ApiRequest, shared_id: int) -> HttpResponse:
    body = read_members(request, optional="former_owner", former_owner=str)
    call, former = _call(request), body.get("former_owner", "viewer")
    person = request.caller.user_id
    project = _memberships(request).take_over(person, shared_id, former, **call)
    there = reverse("api_project", args=[project["id"]])
    return json_response(project, 200, {"Content-Location": there, **replayed(call.get("once"))})


def _refuse_offer(request: ApiRequest, shared_id: int) -> HttpResponse:
    refuse_conditions(request)
    _memberships(request).refuse_offer(request.caller.user_id, shared_id, **_call(request))
    return no_content()


def _shared(request: ApiRequest) -> HttpResponse:
    def look() -> list[Record]:
        return request.json_storage.list("shared", request.caller.user_id)

    records = metered_read(request, look)
    return json_response({"shared": records, "total": len(records)})


def _shared_one(request: ApiRequest, shared_id: int) -> HttpResponse:
    def look() -> Record:
        return request.json_storage.get("shared", request.caller.user_id, shared_id)

    return json_response(metered_read(request, look))


def _accept(request: ApiRequest, shared_id: int) -> HttpResponse:
    body = read_members(request, status=str)
    if body["status"] != "member":
        _refuse("/status", 'must be "member": an invitation is accepted, or deleted')
    call = _call(request)
    record = _memberships(request).accept(request.caller.user_id, shared_id, **call)
    return json_response(record, 200, replayed(call.get("once")))


def _decline(request: ApiRequest, shared_id: int) -> HttpResponse:
    refuse_conditions(request)
    _memberships(request).decline(request.caller.user_id, shared_id, **_call(request))
    return no_content()


def _withdraw_invitation(
    request: ApiRequest, record_id: int, number: int, owner: int | None = None
) -> HttpResponse:
    refuse_conditions(request)
    call, whose = _call(request), owner or request.caller.user_id
    _memberships(request).withdraw(whose, record_id, number, **call)
    return no_content()


def _invitations(request: ApiRequest) -> HttpResponse:
    invitations = Invitations(request.json_storage)
    records = metered_read(request, lambda: invitations.waiting(request.caller.user_id))
    return json_response({"invitations": records, "total": len(records)})


def _join(request: ApiRequest, number: int) -> HttpResponse:
    body = read_members(request, status=str)
    if body["status"] != "member":
        _refuse("/status", 'must be "member": an invitation is accepted, or deleted')
    call = _call(request)
    record = Invitations(request.json_storage).accept(request.caller.user_id, number, **call)
    there = reverse("api_shared", args=[record["id"]])
    return json_response(record, 200, {"Content-Location": there, **replayed(call.get("once"))})


def _decline_address(request: ApiRequest, number: int) -> HttpResponse:
    refuse_conditions(request)
    Invitations(request.json_storage).decline(request.caller.user_id, number, **_call(request))
    return no_content()


def _decline_all(request: ApiRequest) -> HttpResponse:
    refuse_conditions(request)
    person, call = request.caller.user_id, _unmetered(request)
    invitations = Invitations(request.json_storage)
    return json_response(
        {"declined": metered_read(request, lambda: invitations.decline_all(person, **call))}
    )


def _blocked(request: ApiRequest) -> HttpResponse:
    invitations = Invitations(request.json_storage)
    people = metered_read(request, lambda: invitations.refused(request.caller.user_id))
    records = [{"user_id": inviter, "username": name} for inviter, name in people]
    return json_response({"blocked": records, "total": len(records)})


def _block(request: ApiRequest, inviter: int) -> HttpResponse:
    refuse_conditions(request)
    person, call = request.caller.user_id, _unmetered(request)
    invitations = Invitations(request.json_storage)
    count = metered_read(request, lambda: invitations.never(person, inviter, **call))
    return json_response({"declined": count})


def _unblock(request: ApiRequest, inviter: int) -> HttpResponse:
    refuse_conditions(request)
    person = request.caller.user_id
    metered_read(request, lambda: installation.addresses.allow_inviter(person, inviter))
    return no_content()


# Helpers


def _memberships(request: ApiRequest) -> Memberships:
    return Memberships(request.json_storage)


def _call(request: ApiRequest) -> CallOptions:
    """Return actor, idempotency key and metadata of the call. The body must have been read."""
    once: IdempotencyKey | None = idempotency_key(request) if request.operation.bodies else None
    metadata = call_metadata(request) | request_metadata(request)
    return CallOptions(caller=request.caller, once=once, metered=True, told=metadata)


def _unmetered(request: ApiRequest) -> CallOptions:
    """Return `_call` for an operation of many commits, which counts as one call."""
    return CallOptions(
        caller=request.caller, told=call_metadata(request) | request_metadata(request)
    )


def _refuse(pointer: str, detail: str) -> NoReturn:
    raise InvalidRecord([FieldError(pointer, detail)])


# Endpoints


_ENTRY = ref("Member")
# These require a token with scope for all collections: they give access to the tasks of a project,
# too, which a token for projects alone may not even read.
_OF_ALL = (
    *(_invite, _change_role, _offer, _accept, _decline),
    *(_take_over, _refuse_offer, _join, _decline_address, _decline_all, _block, _unblock),
)


def _writes(
    handler: Callable[..., HttpResponse], summary: str, good: dict[int, Answer], body: str = ""
) -> Operation:
    patch = {MERGE_PATCH: ref(body)} if body.endswith("Patch") else {}
    return Operation(
        handler,
        summary,
        answers(good, (404, 409, *(WITH_BODY if body else (507,)))),
        bodies={JSON: ref(body), **patch} if body else {},
        area="" if handler in _OF_ALL else "projects",
    )


members_view = endpoint(
    GET=Operation(
        _members,
        "List who is in a project, and who is invited",
        answers({200: Answer("The members", ref("MemberList"))}, (404,)),
        area="projects",
        writes=False,
    ),
    POST=_writes(
        _invite,
        "Invite somebody to a project",
        {201: Answer("The invitation", _ENTRY, ("Location",))},
        "Invitation",
    ),
)
member_view = endpoint(
    PATCH=_writes(
        _change_role, "Give a member another role", {200: Answer("The member", _ENTRY)}, "RolePatch"
    ),
    DELETE=_writes(_remove, "Remove a member, or leave", {204: Answer("They are out")}),
)
transfer_view = endpoint(
    POST=_writes(
        _offer,
        "Offer a project and its tasks to a member",
        {200: Answer("The member, with the time of the offer", _ENTRY)},
        "Transfer",
    ),
    DELETE=_writes(_withdraw, "Withdraw the offer of a project", {204: Answer("No offer is open")}),
)
ownership_view = endpoint(
    POST=_writes(
        _take_over,
        "Take over a project that is offered to you, with its tasks",
        {200: Answer("The project, where it is now", ref("Project"), ("Content-Location",))},
        "Ownership",
    ),
    DELETE=_writes(_refuse_offer, "Refuse to own a project", {204: Answer("You stay a member")}),
)
shared_list_view = endpoint(
    GET=Operation(
        _shared,
        "List what others share with you, invitations included",
        answers({200: Answer("Memberships and invitations", ref("SharedList"))}),
        writes=False,
    )
)
shared_view = endpoint(
    GET=Operation(
        _shared_one,
        "Read a membership or an invitation",
        answers({200: Answer("It", ref("Shared"))}, (404,)),
        writes=False,
    ),
    PATCH=_writes(
        _accept, "Accept an invitation", {200: Answer("It", ref("Shared"))}, "AcceptPatch"
    ),
    DELETE=_writes(_decline, "Decline an invitation, or leave", {204: Answer("It is gone")}),
)
invitation_view = endpoint(
    DELETE=_writes(
        _withdraw_invitation,
        "Withdraw an invitation to an e-mail address",
        {204: Answer("It is gone")},
    )
)
invitations_view = endpoint(
    GET=Operation(
        _invitations,
        "List the open invitations to your e-mail address",
        answers({200: Answer("They", ref("AddressInvitationList"))}),
        writes=False,
    ),
    DELETE=_writes(
        _decline_all,
        "Decline all open invitations, by name and by address",
        {200: Answer("How many", ref("Declined"))},
    ),
)
blocked_list_view = endpoint(
    GET=Operation(
        _blocked,
        "List the people who cannot invite you",
        answers({200: Answer("They", ref("BlockedList"))}),
        writes=False,
    )
)
blocked_view = endpoint(
    PUT=_writes(
        _block,
        "Decline all invitations of a person, now and in future",
        {200: Answer("How many were open", ref("Declined"))},
    ),
    DELETE=_writes(_unblock, "Let a person invite you again", {204: Answer("They can")}),
)
own_invitation_view = endpoint(
    PATCH=_writes(
        _join,
        "Accept an invitation to your e-mail address",
        {200: Answer("The membership", ref("Shared"), ("Content-Location",))},
        "AcceptPatch",
    ),
    DELETE=_writes(
        _decline_address,
        "Decline an invitation to your e-mail address",
        {204: Answer("You do not see it any more")},
    ),
)
