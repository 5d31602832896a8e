"""Counting of API calls. Start here to change what a call costs and what it leaves behind.

A call that changes something is counted and logged in the commit of the change, by the manager.
One that only reads is counted here, in memory. A call that is refused changes nothing and takes one
from the burst (`accounts.api.http`), none from the hour.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from accounts.api.http import ApiRequest, check_media_type
from accounts.api.problems import BadHeader
from docstore import StoreError
from utils.json_storage import Activity, ActivityOf, Once, latest_commit
from utils.people.activities import activity_of
from utils.records import COLLECTIONS

# A string of RFC 9651, section 3.3.3, or what is none: both without blanks.
_KEY = re.compile(r'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"|([\x21\x23-\x7e]{1,255})')

log = logging.getLogger(__name__)

Found = TypeVar("Found")


def read(request: ApiRequest, fetch: Callable[[], Found]) -> Found:
    """Run `fetch`, then count the call, and return what it found.

    Raises `QuotaExceeded` and `TooManyCalls` before it runs.
    """
    store, caller = request.json_storage, request.caller
    with _count_or_go_on(request):
        store.quota(caller.user_id).check()
    found = fetch()
    with _count_or_go_on(request):
        request.quota = store.record_read(caller)
        latest_commit.set(0)  # the count is no change that one could take back
    return found


def fetch_and_log(
    request: ApiRequest, fetch: Callable[[], Found], activity_of: Callable[[Found], Activity]
) -> Found:
    """As `read`, for a call that is an event of the account: it is logged as well."""
    store, caller = request.json_storage, request.caller
    with _count_or_go_on(request):
        store.quota(caller.user_id).check()
    found = fetch()
    with _count_or_go_on(request):
        request.quota = store.record_call(caller.user_id, activity_of(found), caller=caller)
        latest_commit.set(0)
    return found


def take_turn(request: ApiRequest) -> None:
    """Refuses a call that costs nothing and comes too often. Raises `TooManyCalls`."""
    with _count_or_go_on(request):
        request.json_storage.take_free_call(request.caller.user_id)


@contextmanager
def _count_or_go_on(request: ApiRequest) -> Iterator[None]:
    """A store that cannot take the count must not keep people from what it holds."""
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
    """What is logged of a change; `done` is created, updated or deleted."""
    return activity_of(request, COLLECTIONS[collection], done, **call_metadata(request))


def once_of(request: ApiRequest) -> Once | None:
    """What the call is known by if it is made again, from its Idempotency-Key; None without one.

    After draft-ietf-httpapi-idempotency-key-header-07: the key is a quoted string of RFC 9651;
    many leave the quotes out, and are understood. Raises `BadHeader`.
    """
    text = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if text is None:
        return None
    found = _KEY.fullmatch(text.strip(" \t"))
    if found is None:
        raise BadHeader("Idempotency-Key must be 1 to 255 visible ASCII characters.")
    quoted, bare = found.groups()
    return Once(bare or re.sub(r"\\(.)", r"\1", quoted), _fingerprint(request))


def replayed(once: Once | None) -> dict[str, str]:
    """The header field that tells an answer which was kept under its key."""
    return {"Idempotency-Replayed": "true"} if once is not None and once.replayed else {}


def _fingerprint(request: ApiRequest) -> str:
    """A digest of all that the call asks for."""
    parts = (str(request.method), request.get_full_path(), check_media_type(request))
    digest = hashlib.blake2b(msgspec.json.encode(parts), digest_size=16)
    digest.update(request.body)
    return digest.hexdigest()


def call_metadata(request: ApiRequest) -> dict[str, Any]:
    """What an activity tells of the call that it was done by."""
    token = {"token": request.caller.token} if request.caller.token else {}
    return {"via": "api", **token, "method": request.method, "path": request.path}
