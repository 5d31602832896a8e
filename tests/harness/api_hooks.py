"""Hooks for schemathesis with the rules of the API that JSON Schema cannot express.

Schemathesis loads them (`hooks` in schemathesis.toml). Data that fits the document must be
accepted. A refusal is right only if each fault in the response is one of these rules, which
`workspace.schema.json_schema.RULES_BEYOND` and the document name as well, or if it depends on
stored data.
"""

from __future__ import annotations

import re
from typing import Any, Final

import jsonschema_rs
import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

ZIP: Final = "application/zip"
JSON_PATCH: Final = "application/json-patch+json"
# The rules, each with a pattern of its messages.
RULES: Final = {
    "references": r"must be the id of an? \w+ of yours|is not there: there is no \w+ \d+",
    "repeats": r"must be a rule of RFC 5545",
    "period": r"must not be before start_date",
    "large integers": r"must lie between -?\d+ and \d+|integer must lie between",
    "nesting": r"must be nested at most \d+ levels deep|may be nested at most \d+ deep",
    "inner texts": r"control characters|half of a surrogate pair|must have keys of at most \d+",
    "whole numbers": r"^must be (a positive whole number|a whole number|an id)$",
    "time zones": r"^must be (a name|the name of a time zone) such as Europe/Madrid",
    "people": r"must be the name of an account|must be the id of (the owner or of )?a member of",
    "cursors": r"is none that was given",
    "own lists": r"^is for one's own lists",
    "one change a record": r"stands in operation \d+ already",
}
_NAMED: Final = re.compile("|".join(RULES.values()))
# Problems that depend on stored data or earlier calls, which no schema can express.
_OF_STATE: Final = {
    "precondition-failed",
    "history-gone",
    "idempotency-key-reused",
    "too-many-keys",
}


@schemathesis.serializer(ZIP)
def send_archive(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _path_fits(case: Any) -> bool:
    """Return whether the path parameters of a call match the document.

    Schemathesis infers links from the addresses in responses, such as those of activities. It
    takes a path parameter from an address without regard to the schema of the parameter: `quick`
    of `/tasks/quick/` becomes a `record_id`.
    """
    schemas = {entry.name: entry.definition["schema"] for entry in case.operation.path_parameters}
    return all(
        jsonschema_rs.is_valid(schemas[name], _read(value, schemas[name]))
        for name, value in (case.path_parameters or {}).items()
        if name in schemas
    )


def _read(value: Any, schema: Any) -> Any:
    """Return a path parameter as the type of its schema, if it is written as in an address."""
    whole = schema.get("type") == "integer" and re.fullmatch(r"0|[1-9][0-9]*", str(value))
    return int(value) if whole else value


def _headers_fit(case: Any) -> bool:
    """Return whether the headers of a call match the patterns in the document."""
    parameters = case.operation.schema.raw_schema["components"]["parameters"]
    return all(
        re.fullmatch(parameters[name]["schema"]["pattern"], value)
        for name, value in (case.headers or {}).items()
        if "pattern" in parameters.get(name, {}).get("schema", {})
    )


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Return whether a reported failure is a real one."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    if not _path_fits(case):  # not valid data
        return False
    if case.media_type == ZIP:  # no schema defines an archive
        return False
    problem = response.json()
    if problem["type"] == "/problems/bad-header" and not _headers_fit(case):
        return False  # not valid data: the document has a pattern for this header
    if problem["type"].removeprefix("/problems/") in _OF_STATE:
        return False
    patched = case.media_type == JSON_PATCH and problem["type"] == "/problems/invalid-record"
    if patched:  # the patch is valid, but not the record that it would make
        return False
    details = [fault["detail"] for fault in problem.get("errors", ())] or [problem["detail"]]
    return not all(_NAMED.search(detail) for detail in details)
