"""Success messages after a change, with a button to undo it within an hour.

The button contains a signed token with the user and the commit number. The journal has the data to
restore, so undo needs no storage of its own and does not trust the browser.
"""

from typing import Final, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from docstore import HistoryGone, NotFound
from utils.middleware import StorageRequest, request_metadata
from web.labels import Text
from web.redirects import safe_next
from workspace.records.undo import OFFERED_FOR, Touched
from workspace.request_context import latest_commit
from workspace.sharing.permissions import Forbidden
from workspace.users.activity_entries import undo_activity_of

_SALT: Final = "web.undo"
_REDO: Final = "redo:"  # prefix of a token that redoes an undone change
_NAMED_MAX: Final = 3


def message_with_undo(
    request: StorageRequest, text: Text, commit: int | None = None, *, undone: bool = False
) -> None:
    """Add a success message with an undo button, or a redo button if `undone`.

    `commit` is the number of the commit, by default the latest of this request. Without a commit,
    the message has no button.
    """
    number = latest_commit.get() if commit is None else commit
    token = token_for(request, number, request.request_id) if number else ""
    messages.success(request, str(text), extra_tags=_REDO + token if undone and token else token)


def token_for(request: HttpRequest, number: int, request_id: str = "") -> str:
    """Return the token that undoes a commit, for the form of a page."""
    return signing.dumps([request.user.pk, number, request_id], salt=_SALT)


@require_POST
@login_required
def undo(request: StorageRequest) -> HttpResponse:
    """Undo the commit that the token names, then redirect back."""
    back = HttpResponseRedirect(safe_next(request, reverse("dashboard")))
    person = cast(int, request.user.pk)
    token = request.POST.get("undo", "")
    again = token.startswith(_REDO)
    try:
        values = signing.loads(token.removeprefix(_REDO), salt=_SALT, max_age=OFFERED_FOR)
        owner_of_token, number, request_id = values
        if owner_of_token != person:
            raise signing.BadSignature
        request.json_storage.undo(
            person, number, request_id, activity=undo_activity_of(request_metadata(request))
        )
    except Touched as fault:
        messages.error(request, _touched(fault))
    except (signing.BadSignature, HistoryGone, NotFound, Forbidden):
        messages.error(request, _("This can no longer be undone."))
    else:
        message_with_undo(request, _("Redone.") if again else _("Undone."), undone=not again)
    return back


def _touched(fault: Touched) -> str:
    """Return the error message with some of the records that changed since."""
    names = ", ".join(f"“{name}”" for name in fault.names[:_NAMED_MAX])
    more = len(fault.names) - _NAMED_MAX
    if more <= 0:
        return _("Not undone, because it changed since: %(names)s.") % {"names": names}
    return ngettext(
        "Not undone, because it changed since: %(names)s and %(more)d more.",
        "Not undone, because these changed since: %(names)s and %(more)d more.",
        more,
    ) % {"names": names, "more": more}
