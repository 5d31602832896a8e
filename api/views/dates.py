"""Parse dates in plain words: `dates/?text=next friday`.

The grammar is that of forms and quick add. Programs can send the resulting `due_date` and `repeat`
with a task.
"""

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from django.http import HttpResponse

from api.endpoint import endpoint
from api.metering import count_burst
from api.operation import Answer, Operation, Parameter, answers, ref
from api.problems import BadParameter, ParameterFault
from api.request import ApiRequest
from api.responses import json_response
from workspace.tasks.quick_add import LINE_CHARACTERS_MAX, parse_words
from workspace.users.preferences import is_time_zone

ZONE_PATTERN: Final = "^[A-Za-z0-9_+/-]{1,64}$"


def _dates(request: ApiRequest) -> HttpResponse:
    preferences = request.json_storage.preferences(request.caller.user_id)
    text = request.GET.get("text", "")
    zone = request.GET.get("time_zone", preferences.time_zone or "UTC")
    if not 1 <= len(text) <= LINE_CHARACTERS_MAX:
        raise _fault("text", f"must be a text of 1 to {LINE_CHARACTERS_MAX} characters")
    if not is_time_zone(zone):
        raise _fault("time_zone", "must be a name such as Europe/Madrid")
    count_burst(request)
    words = parse_words(
        text,
        now=datetime.now(UTC),
        zone=ZoneInfo(zone),
        language=preferences.language or "en",
    )
    result = {"due_date": words and words.due, "repeat": words.repeat if words else ""}
    return json_response({"text": text, **result, "time_zone": zone})


def _fault(name: str, detail: str) -> BadParameter:
    return BadParameter(f"{name} {detail}.", [ParameterFault(name, detail)])


dates_view = endpoint(
    GET=Operation(
        _dates,
        "Read a date in plain words",
        answers({200: Answer("What the text means", ref("Dates"))}),
        parameters=(
            Parameter(
                "text",
                "A day, a time or a repetition: `next friday`, `every monday at 9`.",
                {"type": "string", "minLength": 1, "maxLength": LINE_CHARACTERS_MAX},
                required=True,
            ),
            Parameter(
                "time_zone",
                "An IANA time zone, in which the words are meant; if not given, the one that you"
                " chose, or UTC.",
                {"type": "string", "pattern": ZONE_PATTERN, "examples": ["Europe/Madrid"]},
            ),
        ),
        area="tasks",
        writes=False,
        counted=False,
        description="Send `due_date` and `repeat` on with a task, or the date with a project. "
        "Where the text as a whole is no date, `due_date` is null and `repeat` is empty.",
    )
)
