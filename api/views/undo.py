"""Undo a commit of the caller: `undo/`.

Responses to changes have the commit number (`NeuralFlow-Sequence`), and so has the change feed. The
same rules apply as to the undo button of pages.
"""

from django.http import HttpResponse

from api.body_objects import read_members
from api.endpoint import endpoint
from api.metering import call_metadata, idempotency_key, replayed
from api.operation import JSON, WITH_BODY, Answer, Operation, answers, ref
from api.request import ApiRequest
from api.responses import json_response
from docstore import HistoryGone, NotFound
from utils.middleware import request_metadata
from workspace.records.undo import OFFERED_FOR
from workspace.users.activity_entries import undo_activity_of


def _undo(request: ApiRequest) -> HttpResponse:
    body, once = read_members(request, sequence=int), idempotency_key(request)
    try:
        undone = request.json_storage.undo(
            request.caller.user_id,
            body["sequence"],
            not_before=request.json_storage.clock() - OFFERED_FOR,
            caller=request.caller,
            once=once,
            activity=undo_activity_of(request_metadata(request), **call_metadata(request)),
            metered=True,
        )
    except HistoryGone as gone:
        raise NotFound("there is no such change of yours any more") from gone
    return json_response(undone, headers=replayed(once))


undo_view = endpoint(
    POST=Operation(
        _undo,
        "Take a change of yours back",
        answers({200: Answer("What was taken back", ref("Undone"))}, (404, 409, *WITH_BODY)),
        bodies={JSON: ref("Undo")},
        description="All records of one commit become what they were, within an hour, if they are "
        "still as you left them; otherwise nothing is changed.",
    )
)
