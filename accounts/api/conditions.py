"""Conditional requests and preferences: header fields of RFC 9110, section 13, and RFC 7240.

An entity tag here is the version of what is answered, in quotes. All of ours are strong. Where a
condition may fail because of another writer, it is judged in the change itself.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts.api.http import no_content
from accounts.api.problems import BadHeader, PreconditionRequired
from utils.json_storage import Changed
from utils.records import record_version

# RFC 9110, section 8.8.3. Whatever is obsolete in it comes to us as Latin-1.
_TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')
# Empty members are passed over, as section 5.6.1.2 says.
_NEXT = re.compile(r"[ \t]*(?:,[ \t]*)*")
_PREFERENCE = re.compile(r'\s*return\s*=\s*"?(minimal|representation)"?\s*(?:;.*)?', re.IGNORECASE)


class Tags(NamedTuple):
    """What a condition names: any state at all, or some, of which the weak ones are no proof."""

    any: bool
    strong: frozenset[str]
    weak: frozenset[str]


class Conditions(NamedTuple):
    """What a record is to be, or not to be, before anything is done; None: no matter."""

    match: Tags | None
    none_match: Tags | None

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Those of the request. Raises `BadHeader`."""
        return cls(
            _tags(request, "If-Match", "HTTP_IF_MATCH"),
            _tags(request, "If-None-Match", "HTTP_IF_NONE_MATCH"),
        )

    def check(self, record: Mapping[str, Any]) -> None:
        """Raises `Changed` where a change of the record must not be made."""
        if self == _NO_CONDITIONS:
            return
        self.check_match(record)
        if self.is_known(record_version(record)):
            raise Changed("the record is in the state that it should not be in", dict(record))

    def check_match(self, record: Mapping[str, Any]) -> None:
        """Raises `Changed` where If-Match does not allow what is there.

        It compares strongly (section 13.1.1).
        """
        wanted = self.match
        if wanted is None or wanted.any or record_version(record) in wanted.strong:
            return
        raise Changed("the record is not in the state that was asked for", dict(record))

    def is_known(self, version: str) -> bool:
        """Whether If-None-Match names what is there. It compares weakly (section 13.1.2)."""
        known = self.none_match
        return known is not None and (known.any or version in known.strong or version in known.weak)

    def unless_known(self, found: HttpResponse) -> HttpResponse:
        """What was found and has an entity tag; 304 where If-None-Match names it."""
        if self.none_match is None:
            return found
        tag = found["ETag"]
        return no_content({"ETag": tag}, 304) if self.is_known(tag.strip('"')) else found


_NO_CONDITIONS = Conditions(None, None)


def etag(version: str) -> str:
    """The strong entity tag of what has this version."""
    return f'"{version}"'


def check_stated(request: HttpRequest) -> None:
    """Refuses a change that does not say which state of the record it is meant for, where the
    operator wants it said (RFC 6585, section 3)."""
    if settings.NEURALFLOW_REQUIRE_IF_MATCH and "HTTP_IF_MATCH" not in request.META:
        raise PreconditionRequired("Read the record, and send its ETag as If-Match.")


def refuse_conditions(request: HttpRequest, *names: str) -> None:
    """Refuses header fields that mean nothing at this address, rather than pass over them."""
    for name in names or ("If-Match", "If-None-Match"):
        if name in request.headers:
            raise BadHeader(f"{name} goes with the address of one record. Leave it out.")


def prefers_minimal(request: HttpRequest) -> bool:
    """Whether the answer to a change may leave the record out (RFC 7240, section 4.2).

    Of several preferences for it the first counts. What is not understood is passed over.
    """
    for preference in request.META.get("HTTP_PREFER", "").split(","):
        if found := _PREFERENCE.fullmatch(preference):
            return found[1].lower() == "minimal"
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
    found = pattern.match(text, at)
    return found.end() if found else at
