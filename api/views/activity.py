"""The caller's activities, newest first, paginated."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.http import HttpResponse

from api.endpoint import endpoint
from api.list_query import LIMIT_MAX, TEXT_CHARACTERS_MAX, limit_of
from api.list_response import page_address
from api.metering import metered_read
from api.operation import Answer, Operation, Parameter, answers
from api.pagination import Position, cursor, read_cursor
from api.problems import BadParameter, ParameterFault
from api.request import ApiRequest
from api.responses import json_response
from workspace.documents import deep_copy
from workspace.json_values import text_error
from workspace.ordering import Test
from workspace.schema.json_schema import TIME
from workspace.users.activity_query import LOOKED_AT_MAX, newest, of_text, of_time, of_types

_FILTERS = ("type", "after", "before", "q")

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Query:
    """The parsed parameters. `end` is the cursor of the previous page, or None."""

    tests: tuple[Test, ...]
    limit: int
    end: int | None
    digest: str


def _activities(request: ApiRequest) -> HttpResponse:
    query = _query(request)
    return json_response(metered_read(request, partial(_page, request, query)))


def _page(request: ApiRequest, query: _Query) -> dict[str, Any]:
    every = request.json_storage.past(request.caller.user_id)
    page_activities, place = newest(every, query.tests, end=query.end, limit=query.limit)
    after = page_address(request, cursor(Position((), place, 0), query.digest)) if place else None
    page = {"activities": [deep_copy(activity) for activity in page_activities], "next": after}
    return page if query.tests else page | {"total": len(every)}


def _query(request: ApiRequest) -> _Query:
    """Parse the parameters. Raises `BadParameter` with all faults."""
    parameters, faults = request.GET, list[ParameterFault]()

    def understood(name: str, understand: Callable[[str], Value], default: Value) -> Value:
        try:
            return understand(parameters[name]) if name in parameters else default
        except ValueError as fault:
            faults.append(ParameterFault(name, str(fault)))
            return default

    filters = [parameters.getlist(name) for name in _FILTERS]
    content = msgspec.json.encode(["activities", request.caller.user_id, filters])
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    query = _Query(
        tuple(_tests(parameters.getlist("type"), understood)),
        understood("limit", limit_of, LIMIT_MAX),
        understood("cursor", lambda text: read_cursor(text, (), digest).id, None),
        digest,
    )
    if faults:
        raise BadParameter(f"{faults[0].parameter} {faults[0].detail}.", faults)
    return query


def _tests(types: list[str], understood: Callable[..., Test | None]) -> Iterator[Test]:
    if types:
        yield of_types({entry for text in types for entry in text.split(",")})
    tests = [
        understood("after", partial(of_time, "after"), None),
        understood("before", partial(of_time, "before"), None),
        understood("q", _of_text, None),
    ]
    yield from filter(None, tests)


def _of_text(text: str) -> Test:
    if len(text) > TEXT_CHARACTERS_MAX:
        raise ValueError(f"may have at most {TEXT_CHARACTERS_MAX} characters")
    if unfit := text_error(text, one_line=True):
        raise ValueError(unfit)
    return of_text(text)


# The operation

_PAGE = {
    "type": "object",
    "required": ["activities", "next"],
    "properties": {
        "activities": {"type": "array", "items": {"type": "object"}},
        "total": {"type": "integer", "minimum": 0, "description": "where nothing filters"},
        "next": {"type": ["string", "null"], "format": "uri-reference"},
    },
}

activity_view = endpoint(
    GET=Operation(
        _activities,
        "What one did, newest first",
        answers({200: Answer("A page of activities", _PAGE)}),
        parameters=(
            Parameter("type", "Only of these types; repeat it, or put commas between.", many=True),
            Parameter("after", "Only those after this moment or day.", TIME),
            Parameter("before", "Only those before this moment or day.", TIME),
            Parameter(
                "q",
                "Only those with this in type or description, whatever its capitals.",
                {"type": "string", "maxLength": TEXT_CHARACTERS_MAX},
            ),
            Parameter(
                "limit",
                "How many to answer at most.",
                {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_MAX},
            ),
            Parameter("cursor", "Where to go on: it stands in `next` of the page before."),
        ),
        writes=False,
        description=(
            f"A page may hold fewer than `limit` where {LOOKED_AT_MAX:,} were looked at: go on with"
            " `next` until it is null."
        ),
    )
)
