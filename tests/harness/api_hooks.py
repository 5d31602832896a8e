"""What schemathesis cannot know of the API: the rules that JSON Schema does not say.

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS). Data that fits the document must be accepted; a
refusal is taken for right only where each fault that the answer tells of is one of these rules, and
then it is one that `utils.schemas.RULES_BEYOND` and the document name, or where it depends on what
is there.
"""

from __future__ import annotations

import re
from typing import Any, Final

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

JSON_PATCH: Final = "application/json-patch+json"
# Each rule, and how a refusal says it.
RULES: Final = {
    "references": r"must be the id of an? \w+ of yours",
    "period": r"must not be before start_date",
    "large integers": r"must lie between -?\d+ and \d+|integer must lie between",
    "nesting": r"must be nested at most \d+ levels deep|may be nested at most \d+ deep",
    "cursors": r"is none that was given",
}
_NAMED: Final = re.compile("|".join(RULES.values()))
# What depends on what is there, or was sent before, and so on nothing that a schema could say.
_OF_STATE: Final = {
    "precondition-failed",
    "history-gone",
    "idempotency-key-reused",
    "too-many-keys",
}


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Whether a failure is one."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = response.json()
    if problem["type"].removeprefix("/problems/") in _OF_STATE:
        return False
    patched = case.media_type == JSON_PATCH and problem["type"] == "/problems/invalid-record"
    if patched:  # the patch is good, and what it would make of the record is not
        return False
    told = [fault["detail"] for fault in problem.get("errors", ())] or [problem["detail"]]
    return not all(_NAMED.search(detail) for detail in told)
