"""Count and log API calls. Start here to change what a call costs and what it logs.

The manager counts and logs a change within its commit. A read is counted here, in memory. A refused
call changes nothing. It counts in the burst (`api.endpoint`), not in the hourly quota.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from api.parsing import check_media_type
from api.problems import BadHeader
from api.request import ApiRequest
from docstore import StoreError
from utils.middleware import request_metadata
from workspace.idempotency import IdempotencyKey
from workspace.request_context import latest_commit
from workspace.schema.validation import COLLECTIONS
from workspace.unit_of_work import ActivityOf
from workspace.users.activity_entries import activity_of
from workspace.users.document import Activity

# A string of RFC 9651, section 3.3.3, or a bare key. Neither may contain spaces.
_KEY = re.compile(r'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"|([\x21\x23-\x7e]{1,255})')

log = logging.getLogger(__name__)

Found = TypeVar("Found")


def metered_read(request: ApiRequest, fetch: Callable[[], Found]) -> Found:
    """Run `fetch`, count the call, and return the result.

    Raises `QuotaExceeded` and `TooManyCalls` before running it.
    """
    store, caller = request.json_storage, request.caller
    with _count_or_go_on(request):
        (request.quota_before or store.quota(caller.user_id)).check()
    result = fetch()
    with _count_or_go_on(request):
        request.quota = store.record_read(caller)
        latest_commit.set(0)  # a commit of counts is not a change that can be undone
    return result


def fetch_and_log(
    request: ApiRequest, fetch: Callable[[], Found], activity_of: Callable[[Found], Activity]
) -> Found:
    """Run `fetch` like `metered_read`, and log the call as an activity, too."""
    store, caller = request.json_storage, request.caller
    with _count_or_go_on(request):
        (request.quota_before or store.quota(caller.user_id)).check()
    result = fetch()
    with _count_or_go_on(request):
        request.quota = store.count_call(caller.user_id, activity_of(result), caller=caller)
        latest_commit.set(0)
    return result


def count_burst(request: ApiRequest) -> None:
    """Count a call in the burst only. Raises `TooManyCalls`."""
    with _count_or_go_on(request):
        request.json_storage.take_free_call(request.caller.user_id)


@contextmanager
def _count_or_go_on(request: ApiRequest) -> Iterator[None]:
    """Ignore storage errors while counting. A full disk must not prevent reads."""
    try:
        yield
    except StoreError as fault:
        log.warning(
            "%s %s was answered but not counted: %s (request %s)",
            request.method,
            request.path,
            fault,
            request.request_id,
            extra={"request": request},
        )


def activity(request: ApiRequest, collection: str, done: str) -> ActivityOf:
    """Return the activity of a change. `done` is created, updated or deleted."""
    return activity_of(
        request_metadata(request), COLLECTIONS[collection], done, **call_metadata(request)
    )


def idempotency_key(request: ApiRequest) -> IdempotencyKey | None:
    """Return the idempotency key of the call, or None.

    The header follows draft-ietf-httpapi-idempotency-key-header-07: a quoted string of RFC 9651.
    Unquoted keys, which many clients send, are accepted. Raises `BadHeader`.
    """
    text = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if text is None:
        return None
    match = _KEY.fullmatch(text.strip(" \t"))
    if match is None:
        raise BadHeader("Idempotency-Key must be 1 to 255 visible ASCII characters.")
    quoted, bare = match.groups()
    return IdempotencyKey(bare or re.sub(r"\\(.)", r"\1", quoted), _fingerprint(request))


def replayed(once: IdempotencyKey | None) -> dict[str, str]:
    """Return the header field that marks a response stored under its idempotency key."""
    return {"Idempotency-Replayed": "true"} if once is not None and once.replayed else {}


def _fingerprint(request: ApiRequest) -> str:
    """Return a digest of the request, to detect a key that is reused for a different one."""
    parts = (str(request.method), request.get_full_path(), check_media_type(request))
    digest = hashlib.blake2b(msgspec.json.encode(parts), digest_size=16)
    digest.update(request.body)
    return digest.hexdigest()


def call_metadata(request: ApiRequest) -> dict[str, Any]:
    """Return the metadata of the call that activities record."""
    token = {"token": request.caller.token} if request.caller.token else {}
    return {"via": "api", **token, "method": request.method, "path": request.path}
