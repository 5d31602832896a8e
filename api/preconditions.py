"""Preconditions and preferences: header fields of RFC 9110, section 13, and RFC 7240.

An entity tag is the quoted version of a resource. All of ours are strong. A precondition that can
fail because of concurrent writers is checked within the transaction.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from api.problems import BadHeader, PreconditionRequired
from api.responses import no_content
from workspace.records.crud import StaleRecord
from workspace.schema.validation import record_version

# RFC 9110, section 8.8.3. Django decodes obs-text as Latin-1.
_TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')
# Empty list members are ignored (section 5.6.1.2).
_NEXT = re.compile(r"[ \t]*(?:,[ \t]*)*")
_PREFERENCE = re.compile(r'\s*return\s*=\s*"?(minimal|representation)"?\s*(?:;.*)?', re.IGNORECASE)


class Tags(NamedTuple):
    """The entity tags of a condition, or `any` for "*". Weak tags never match strongly."""

    any: bool
    strong: frozenset[str]
    weak: frozenset[str]


class Conditions(NamedTuple):
    """Preconditions on a record (If-Match, If-None-Match). None means unconditional."""

    match: Tags | None
    none_match: Tags | None

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Return the preconditions of the request. Raises `BadHeader`."""
        return cls(
            _tags(request, "If-Match", "HTTP_IF_MATCH"),
            _tags(request, "If-None-Match", "HTTP_IF_NONE_MATCH"),
        )

    def check(self, record: Mapping[str, Any]) -> None:
        """Raise `StaleRecord` if the preconditions do not permit a change of the record."""
        if self == _NO_CONDITIONS:
            return
        self.check_match(record)
        if self.is_known(record_version(record)):
            raise StaleRecord("the record is in the state that it should not be in", dict(record))

    def check_match(self, record: Mapping[str, Any]) -> None:
        """Raise `StaleRecord` unless If-Match permits the record (strong comparison, 13.1.1)."""
        wanted = self.match
        if wanted is None or wanted.any or record_version(record) in wanted.strong:
            return
        raise StaleRecord("the record is not in the state that was asked for", dict(record))

    def is_known(self, version: str) -> bool:
        """Return whether If-None-Match has the version, by weak comparison (section 13.1.2)."""
        known = self.none_match
        return known is not None and (known.any or version in known.strong or version in known.weak)

    def unless_known(self, found: HttpResponse) -> HttpResponse:
        """Return the response, or 304 if If-None-Match has its entity tag."""
        if self.none_match is None:
            return found
        tag = found["ETag"]
        return no_content({"ETag": tag}, 304) if self.is_known(tag.strip('"')) else found


_NO_CONDITIONS = Conditions(None, None)


def etag(version: str) -> str:
    """Return the strong entity tag for a version."""
    return f'"{version}"'


def require_if_match(request: HttpRequest) -> None:
    """Raise `PreconditionRequired` if a required If-Match is missing (RFC 6585, section 3)."""
    if settings.NEURALFLOW_REQUIRE_IF_MATCH and "HTTP_IF_MATCH" not in request.META:
        raise PreconditionRequired("Read the record, and send its ETag as If-Match.")


def refuse_conditions(request: HttpRequest, *names: str) -> None:
    """Raise `BadHeader` for preconditions that have no meaning at this URL."""
    for name in names or ("If-Match", "If-None-Match"):
        if name in request.headers:
            raise BadHeader(f"{name} goes with the address of one record. Leave it out.")


def prefers_minimal(request: HttpRequest) -> bool:
    """Return whether the client prefers a response without the record (RFC 7240, section 4.2).

    The first `return` preference counts. Unknown preferences are ignored.
    """
    for preference in request.META.get("HTTP_PREFER", "").split(","):
        if match := _PREFERENCE.fullmatch(preference):
            return match[1].lower() == "minimal"
    return False


def _tags(request: HttpRequest, name: str, key: str) -> Tags | None:
    text = request.META.get(key)
    if text is None:
        return None
    if text.strip(" \t") == "*":
        return Tags(True, frozenset(), frozenset())
    strong: set[str] = set()
    weak: set[str] = set()
    at = _end_of(_NEXT, text, 0)
    while at < len(text):
        tag = _TAG.match(text, at)
        at = _end_of(_NEXT, text, tag.end()) if tag else at
        if tag is None or (at < len(text) and "," not in text[tag.end() : at]):
            raise BadHeader(f'{name} must be * or a list of entity tags such as "4f2a", "9b1c".')
        (weak if tag["weak"] else strong).add(tag["opaque"])
    if not (strong or weak):
        raise BadHeader(f"{name} names no entity tag. Send one, or leave the header out.")
    return Tags(False, frozenset(strong), frozenset(weak))


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
