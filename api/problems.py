"""Errors of the API as problem details (RFC 9457).

`PROBLEMS` maps exceptions to statuses. The type of a problem is stable, and clients may depend on
it. Its detail is for humans and may change.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError

from api.json_patch import InvalidPatch, PatchFailed
from docstore import (
    Conflict,
    Corrupt,
    HistoryGone,
    InvalidValue,
    NotFound,
    OutOfSpace,
    StoreError,
    TooLarge,
    TooMuchAtOnce,
    Unavailable,
)
from workspace.archive.package import ImportFault, InvalidImport
from workspace.archive.zip_reader import ArchiveTooLarge, MalformedArchive, UnsafeArchive
from workspace.idempotency import KeyReused, TooManyKeys
from workspace.records.crud import StaleRecord
from workspace.records.undo import Touched
from workspace.schema.validation import InvalidRecord
from workspace.sharing.permissions import Forbidden
from workspace.strict_json import MalformedBody
from workspace.users.quota import QuotaExceeded, TooManyCalls
from workspace.users.storage_use import StorageFull
from workspace.users.written_bytes import TooManyBytes

RETRY_AFTER = 30  # seconds, if the exception has no value of its own


class Refusal(Exception):
    """A call refused before it reached a record. `headers` are added to the response."""

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers = headers or {}


class NotAuthenticated(Refusal):
    """The caller is unknown. Send a token, or sign in."""


class PlainHttp(Refusal):
    """The call came without TLS, its token in the clear. Revoke the token, and call over https."""


class CsrfFailed(Refusal):
    """The CSRF check of a session's call failed. Send the CSRF token."""


class NoSuchAddress(Refusal):
    """The URL does not exist."""


class MethodNotAllowed(Refusal):
    """The URL does not accept this method. `Allow` lists those it accepts."""


class ParameterFault(NamedTuple):
    """A fault of a parameter, as the end of a sentence that begins with its name."""

    parameter: str
    detail: str


class BadParameter(Refusal):
    """A query parameter is invalid. Correct it."""

    def __init__(self, detail: str, errors: Iterable[ParameterFault] = ()) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)


class UnknownParameter(BadParameter):
    """The URL does not accept this query parameter. Remove it."""


class BadHeader(Refusal):
    """A header field is invalid. Correct it."""


class PreconditionRequired(Refusal):
    """A change needs a precondition. Read the record first, and send If-Match."""


class TooManyBadTokens(Refusal):
    """This address sent many bad tokens. Stop, and check the token."""


class InsufficientScope(Refusal):
    """The token is valid, but lacks the scope. Use or create one with the named scope."""


class TooManyWait(Refusal):
    """All slots for long polls are taken. Try again later, or poll without waiting."""


class LengthRequired(Refusal):
    """The body has no declared length. Send Content-Length, and no chunks."""


class IncompleteBody(Refusal):
    """The body is shorter than declared. Send it again."""


class BodyTooLarge(Refusal):
    """The body exceeds the limit. Send less at a time."""


class UnsupportedMediaType(Refusal):
    """The body is not JSON, or is encoded. Send plain JSON with its media type."""


class Problem(NamedTuple):
    """A problem type. With an empty `detail`, the exception's message is used."""

    status: int
    slug: str
    title: str
    detail: str = ""


_TOO_LARGE = "The body is longer than this server reads"
_MALFORMED = Problem(400, "bad-request", "The request is not well formed", "Mend the request.")
_NOT_FOUND = Problem(
    404, "not-found", "There is no such record", "There is no such record among yours."
)
_UNAVAILABLE = Problem(
    503,
    "unavailable",
    "The store cannot do this now",
    "Nothing was changed. Try again in a moment; the server's log has the reason.",
)
_UNEXPECTED = Problem(
    500,
    "internal-error",
    "Something went wrong here",
    "It is our fault, and in the server's log under this instance.",
)

PROBLEMS: Mapping[type[Exception], Problem] = {
    MalformedBody: Problem(400, "malformed-body", "The body is not JSON as it is taken here"),
    IncompleteBody: Problem(400, "incomplete-body", "The body is shorter than was said"),
    UnreadablePostError: Problem(
        400, "incomplete-body", "The body is shorter than was said", "Send the body again."
    ),
    UnknownParameter: Problem(400, "unknown-parameter", "The address has no such parameter"),
    BadParameter: Problem(400, "bad-parameter", "A parameter is not written as it is meant"),
    BadHeader: Problem(400, "bad-header", "A header is not written as it is meant"),
    SuspiciousOperation: _MALFORMED,
    BadRequest: _MALFORMED,
    NotAuthenticated: Problem(401, "not-authenticated", "Authentication is needed"),
    CsrfFailed: Problem(403, "csrf-failed", "The session's call lacks its proof of origin"),
    PlainHttp: Problem(403, "plain-http", "The call came without TLS"),
    InsufficientScope: Problem(403, "insufficient-scope", "The token is not for this"),
    PermissionDenied: Problem(403, "forbidden", "This is not allowed", "You may not do this."),
    Forbidden: Problem(403, "forbidden", "This is not allowed"),
    NotFound: _NOT_FOUND,
    Http404: _NOT_FOUND,
    NoSuchAddress: Problem(404, "no-such-address", "There is nothing at this address"),
    MethodNotAllowed: Problem(405, "method-not-allowed", "The address does not take this method"),
    Conflict: Problem(
        409,
        "conflict",
        "Someone else changed this first",
        "Nothing of yours was written. Read again, and repeat the change.",
    ),
    Touched: Problem(409, "changed-since", "What was to be undone was changed since"),
    PatchFailed: Problem(409, "patch-failed", "The patch does not fit what is there"),
    HistoryGone: Problem(
        410,
        "history-gone",
        "The history does not reach back so far",
        "Read everything anew, and go on from the `next` of a call without `since`, made before.",
    ),
    LengthRequired: Problem(411, "length-required", "The body's length is missing"),
    StaleRecord: Problem(
        412,
        "precondition-failed",
        "The record is not as the call expects it",
        "Nothing was changed. `current` is the record as it is now.",
    ),
    BodyTooLarge: Problem(413, "body-too-large", _TOO_LARGE),
    RequestDataTooBig: Problem(413, "body-too-large", _TOO_LARGE, "Send less at a time."),
    TooLarge: Problem(
        413,
        "collection-full",
        "The collection is full",
        "Its file has reached the size that one may have. Nothing was changed.",
    ),
    TooMuchAtOnce: Problem(413, "too-much-at-once", "The call changes too much at once"),
    UnsupportedMediaType: Problem(415, "unsupported-media-type", "The body must be plain JSON"),
    MalformedArchive: Problem(400, "malformed-archive", "The body is no whole zip archive"),
    ArchiveTooLarge: Problem(413, "archive-too-large", "The archive holds more than is taken"),
    UnsafeArchive: Problem(422, "unsafe-archive", "The archive is not one to be unpacked"),
    InvalidImport: Problem(422, "invalid-import", "The files in the archive break the rules"),
    InvalidRecord: Problem(422, "invalid-record", "The record breaks the rules of its fields"),
    InvalidValue: Problem(422, "invalid-record", "The record holds what cannot be stored"),
    InvalidPatch: Problem(422, "invalid-patch", "The body is no JSON Patch"),
    PreconditionRequired: Problem(428, "precondition-required", "If-Match is missing"),
    KeyReused: Problem(422, "idempotency-key-reused", "The key belongs to another call"),
    TooManyCalls: Problem(429, "too-many-calls", "Too many calls came at once"),
    TooManyBytes: Problem(429, "too-many-bytes", "Too many bytes were written within an hour"),
    TooManyKeys: Problem(429, "too-many-keys", "Too many idempotency keys are in use"),
    TooManyBadTokens: Problem(429, "too-many-bad-tokens", "Too many bad tokens come from here"),
    QuotaExceeded: Problem(429, "quota-exceeded", "This hour's API calls are used up"),
    TooManyWait: Problem(503, "too-many-wait", "Too many wait for changes now"),
    Corrupt: Problem(503, "document-corrupt", "A document does not read as it should"),
    Unavailable: _UNAVAILABLE,
    StoreError: _UNAVAILABLE,
    OperationalError: _UNAVAILABLE,
    InterfaceError: _UNAVAILABLE,
    OutOfSpace: Problem(
        507,
        "out-of-space",
        "The server's disk is full",
        "Nothing was changed or lost, and reading goes on. Try again once there is room.",
    ),
    StorageFull: Problem(507, "storage-full", "The space of the owner is full"),
    Exception: _UNEXPECTED,
}

# The remedy for each type, as in docs/api.md and on its page: /problems/<slug>/.
REMEDIES: Mapping[str, str] = {
    "bad-request": "correct the request: malformed HTTP, or a host that is not in "
    "`NEURALFLOW_ALLOWED_HOSTS`",
    "malformed-body": "correct the JSON at `line` and `column`",
    "incomplete-body": "send the body again; it was shorter than `Content-Length`",
    "unknown-parameter": "remove or correct the parameters in `errors`",
    "bad-parameter": "correct the parameters in `errors` or `detail`",
    "bad-header": "correct the header as `detail` says",
    "not-authenticated": "send a valid token, or log in",
    "csrf-failed": "send the session's CSRF token in `X-CSRFToken`",
    "plain-http": "call over `https`; revoke the token, which was sent in the clear",
    "insufficient-scope": "use a token with the scope in `detail`",
    "forbidden": "you do not have permission; ask the owner of the project",
    "not-found": "check the id; you have no such record, or no access to it",
    "no-such-address": "check the URL and its final slash",
    "method-not-allowed": "use a method in `Allow`",
    "conflict": "read the record again and repeat the change",
    "changed-since": "nothing was undone; check the records in `names`",
    "patch-failed": "read the record again; `errors` names the operation that failed",
    "history-gone": "list all records again, and continue from there",
    "length-required": "send `Content-Length`, not chunks",
    "precondition-failed": "repeat your change on `current`, with its `ETag` in `If-Match`",
    "body-too-large": "send less at a time",
    "malformed-archive": "send the complete archive again, or create it again",
    "archive-too-large": "send the files of one person, without `backups/` and `.neuralflow/`",
    "unsafe-archive": "create a plain zip archive without the entries in `detail`",
    "invalid-import": "correct the places in `errors`: file, JSON Pointer or line, and reason",
    "collection-full": "delete records first",
    "too-much-at-once": "change fewer or smaller records in one call; nothing was changed",
    "unsupported-media-type": "send plain JSON with `Content-Type: application/json`",
    "invalid-record": "correct the fields in `errors`, each with a JSON Pointer and a reason",
    "invalid-patch": "correct the operations in `errors`",
    "idempotency-key-reused": "use a new `Idempotency-Key` for another call",
    "precondition-required": "read the record and send its `ETag` in `If-Match`",
    "too-many-calls": "wait `Retry-After` seconds, and call more slowly",
    "too-many-bytes": "wait `Retry-After` seconds; write smaller or fewer records",
    "too-many-keys": "wait `Retry-After` seconds, or call without `Idempotency-Key`",
    "too-many-bad-tokens": "check the token, and wait `Retry-After` seconds",
    "quota-exceeded": "wait `Retry-After` seconds",
    "internal-error": "report the `instance` to the operator",
    "too-many-wait": "wait `Retry-After` seconds, or poll without waiting",
    "unavailable": "try again after `Retry-After` seconds",
    "document-corrupt": "report `document`, `line` and `column` to the operator; nothing is lost",
    "storage-full": "delete records, discard versions set aside, wait until older changes leave"
    " the history, or ask the operator for more space; reading works",
    "out-of-space": "wait until the operator has freed space; reading works",
}


# Exceptions with several faults in the body.
_WITH_ERRORS = (InvalidRecord, InvalidPatch, PatchFailed)


def problem_of(fault: Exception) -> Problem:
    """Return the problem type of an exception: that of its nearest class in the table."""
    return next(PROBLEMS[kind] for kind in type(fault).__mro__ if kind in PROBLEMS)


def problem_response(request: HttpRequest, fault: Exception) -> HttpResponse:
    """Return the problem details response for an exception."""
    problem = problem_of(fault)
    body = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail or _detail(fault),
        "instance": f"urn:uuid:{getattr(request, 'request_id', '')}",
    }
    return HttpResponse(
        msgspec.json.encode(body | _members(fault)),
        status=problem.status,
        content_type="application/problem+json",
        headers=_headers(fault, problem),
    )


def _detail(fault: Exception) -> str:
    if isinstance(fault, _WITH_ERRORS):
        first, more = fault.errors[0], len(fault.errors) - 1
        text = f"{first.pointer.rpartition('/')[2] or 'The record'} {first.detail}"
        return f"{text}; `errors` tells of {more} more" if more else text
    if isinstance(fault, InvalidImport):
        first_fault, more = fault.faults[0], len(fault.faults) - 1
        place = (
            f", line {first_fault.line}"
            if first_fault.line
            else first_fault.pointer and f", {first_fault.pointer}"
        )
        text = f"{first_fault.file}{place}: {first_fault.detail}"
        return f"{text}; `errors` tells of {more} more" if more else text
    if isinstance(fault, MalformedBody):
        return f"Line {fault.line}, column {fault.column}: {fault.reason}"
    if isinstance(fault, Corrupt):
        return f"The document {fault}. It stays as it is until someone mends it."
    if isinstance(fault, QuotaExceeded):
        minutes = -(-fault.quota.resets_in // 60)
        return f"All {fault.quota.limit} are used. The count starts again in {minutes} minutes."
    return str(fault)


def _members(fault: Exception) -> dict[str, Any]:
    """Return the extension members of a problem type."""
    if isinstance(fault, StaleRecord):
        return {"current": fault.current}
    if isinstance(fault, Touched):
        return {"names": fault.names}
    if isinstance(fault, _WITH_ERRORS):
        return {"errors": [{"pointer": e.pointer, "detail": e.detail} for e in fault.errors]}
    if isinstance(fault, InvalidImport):
        return {"errors": [_told(import_fault) for import_fault in fault.faults]}
    if isinstance(fault, BadParameter) and fault.errors:
        return {"errors": [error._asdict() for error in fault.errors]}
    if isinstance(fault, MalformedBody):
        return {"line": fault.line, "column": fault.column}
    if isinstance(fault, Corrupt):
        return {"document": fault.document, "line": fault.line, "column": fault.column}
    return {}


def _told(fault: ImportFault) -> dict[str, Any]:
    members = fault._asdict()
    return (
        members if fault.line else {name: members[name] for name in ("file", "pointer", "detail")}
    )


def _headers(fault: Exception, problem: Problem) -> dict[str, str]:
    if isinstance(fault, Refusal):
        return dict(fault.headers)
    if isinstance(fault, QuotaExceeded):
        return {"Retry-After": str(fault.quota.resets_in)}
    if isinstance(fault, TooManyCalls | TooManyKeys | TooManyBytes):
        return {"Retry-After": str(fault.retry_after)}
    if problem.status in {503, 507} and not isinstance(fault, Corrupt | StorageFull):
        return {"Retry-After": str(getattr(fault, "retry_after", RETRY_AFTER))}
    return {}
