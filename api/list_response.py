"""Paginated responses for lists of records.

An unfiltered list in order of ids, or a page of it, is joined from cached bytes without touching
records. Everything else is filtered, sorted and encoded.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from django.http import HttpResponse, QueryDict

from api.list_query import ListQuery, read_query
from api.operation import JSON
from api.pagination import Position, cursor
from api.request import ApiRequest
from docstore import NotFound, RecordList, to_json
from workspace.ordering import search_text
from workspace.schema.collections import COLLECTIONS, CollectionSpec
from workspace.sharing.permissions import sharers

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A page: its records as a JSON list, the position of the last one, and the total if known.

    `digest` identifies the state of the complete list. It is empty for a partial one.
    """

    records: bytes
    after: Position | None
    total: int | None
    digest: str = ""


def list_query(request: ApiRequest, collection: str, owner: int) -> ListQuery:
    """Parse the query string. Raises `BadParameter` and `UnknownParameter`."""
    return read_query(collection, request.GET, (request.caller.user_id, owner))


def list_response(
    request: ApiRequest, query: ListQuery, collection: str, owner: int
) -> HttpResponse:
    """Return the requested page of a list with its entity tag and links."""
    records = request.json_storage.view(collection, owner, caller=request.caller)
    if query.shared:
        records = [*records, *_shared_records(request, collection)]
    page = page_of(query, COLLECTIONS[collection], records)
    after = page_address(request, cursor(page.after, query.digest)) if page.after else None
    is_paged = query.paged or after is not None
    members = [b'"%s":%s' % (collection.encode(), page.records)]
    if page.total is not None:
        members.append(b'"total":%d' % page.total)
    if is_paged:
        members.append(b'"next":' + to_json(after))
    body = b"{" + b",".join(members) + b"}"
    response = HttpResponse(body, content_type=JSON)
    response["ETag"] = f'"{page.digest}"' if page.digest else entity_tag(body)
    if is_paged:
        links = {"first": page_address(request), "next": after}
        response["Link"] = ", ".join(f'<{to}>; rel="{rel}"' for rel, to in links.items() if to)
    return response


def _shared_records(request: ApiRequest, collection: str) -> Iterator[Record]:
    """Yield the records that other users share with the caller."""
    store, caller = request.json_storage, request.caller
    for owner in sharers(store.store, caller.user_id):
        # The membership index may be stale: the permission was withdrawn.
        with suppress(NotFound):
            yield from store.view(collection, owner, caller=caller)


def page_address(request: ApiRequest, cursor: str | None = None) -> str:
    """Return the URL of a page of the same list. Without a cursor it is the first."""
    parameters: QueryDict = request.GET.copy()
    parameters.pop("cursor", None)
    if cursor is not None:
        parameters["cursor"] = cursor
    query = parameters.urlencode()
    return f"{request.path}?{query}" if query else request.path


def page_of(query: ListQuery, spec: CollectionSpec, records: Sequence[Record]) -> Page:
    """Return the page that the query requests."""
    if query.is_plain and isinstance(records, RecordList) and records.in_id_order:
        return _kept(query, records)
    return _chosen(query, spec, records)


def _kept(query: ListQuery, records: RecordList) -> Page:
    total = len(records)
    start = records.bisect_id(query.after.id) if query.after else 0
    stop = start + query.limit
    if start == 0 and stop >= total:
        return Page(records.json(), None, total, records.digest())
    after = query.ordering.place(records[stop - 1]) if stop < total else None
    return Page(records.json_of(start, stop), after, total)


def _chosen(query: ListQuery, spec: CollectionSpec, records: Sequence[Record]) -> Page:
    every = _passing(query, spec, records)
    chosen, after = _from_place(query, every)
    if query.fields:
        chosen = [_sparse(record, query.fields) for record in chosen]
    total = len(every) if query.total or not query.narrows else None
    return Page(to_json(chosen), after, total)


def _passing(query: ListQuery, spec: CollectionSpec, records: Iterable[Record]) -> list[Record]:
    for test in query.tests:
        records = filter(test, records)
    if query.text:
        texts = search_text(spec.name)
        return [record for record in records if query.text in texts(record)]
    return list(records)


def _from_place(query: ListQuery, records: list[Record]) -> tuple[list[Any], Position | None]:
    """Return the records of the page in order, and the last position if more follow."""
    ordering, last = query.ordering, query.after
    keyed = [(ordering.key(ordering.place(record)), record) for record in records]
    passed = 0
    if last is not None:
        begin = ordering.key(last)
        keyed = [pair for pair in keyed if pair[0] >= begin]
        passed = min(last.passed, sum(key == begin for key, _record in keyed))
    # Select the smallest ones without sorting the rest.
    smallest = heapq.nsmallest(passed + query.limit + 1, keyed, key=itemgetter(0))
    page = smallest[passed : passed + query.limit]
    if passed + len(page) == len(smallest):
        return [record for _key, record in page], None
    end = page[-1][0]
    at_end = sum(key == end for key, _record in smallest[: passed + len(page)])
    place = ordering.place(page[-1][1])
    after = Position(place.values, place.id, place.owner, at_end)
    return [record for _key, record in page], after


def _sparse(record: Record, fields: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name in fields}


def entity_tag(content: bytes) -> str:
    """Return a strong entity tag of the content (RFC 9110, section 8.8.3)."""
    return f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
