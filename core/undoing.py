"""What a page says after a change, with a button that takes the change back within an hour.

The button carries a signed token that names the person and the commit; what to set back is in the
journal, so nothing is kept for it and nothing that a browser sends is believed.
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

from core.going_back import back_to
from core.words import Text
from docstore import HistoryGone, NotFound
from utils.json_storage import Forbidden, Touched, latest_commit
from utils.middleware import StorageRequest
from utils.people.activities import undo_activity_of
from utils.undo import OFFERED_FOR

_SALT: Final = "core.undoing"
_REDO: Final = "redo:"  # before the token of what was undone
_NAMED_MAX: Final = 3


def say(
    request: StorageRequest, text: Text, commit: int | None = None, *, undone: bool = False
) -> None:
    """Says after a change that it was made, and offers to undo it; what was `undone`, to do again.

    `commit` is its number; by default that of the latest commit of this request. Where the request
    changed nothing, nothing is offered.
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
    """Takes back the change that the token names; then back to where one was."""
    back = HttpResponseRedirect(back_to(request, reverse("dashboard")))
    person = cast(int, request.user.pk)
    token = request.POST.get("undo", "")
    again = token.startswith(_REDO)
    try:
        said = signing.loads(token.removeprefix(_REDO), salt=_SALT, max_age=OFFERED_FOR)
        owner_of_token, number, request_id = said
        if owner_of_token != person:
            raise signing.BadSignature
        request.json_storage.undo(person, number, request_id, activity=undo_activity_of(request))
    except Touched as fault:
        messages.error(request, _touched(fault))
    except (signing.BadSignature, HistoryGone, NotFound, Forbidden):
        messages.error(request, _("This cannot be undone any more."))
    else:
        say(request, _("Done again.") if again else _("Undone."), undone=not again)
    return back


def _touched(fault: Touched) -> str:
    """Names some of what was changed since."""
    names = ", ".join(f"“{name}”" for name in fault.names[:_NAMED_MAX])
    more = len(fault.names) - _NAMED_MAX
    if more <= 0:
        return _("Nothing was undone, for this was changed since: %(names)s.") % {"names": names}
    return ngettext(
        "Nothing was undone, for this was changed since: %(names)s and %(more)d more.",
        "Nothing was undone, for these were changed since: %(names)s and %(more)d more.",
        more,
    ) % {"names": names, "more": more}
