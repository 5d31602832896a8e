"""The page to list and end a user's sessions."""

from collections.abc import Iterable

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.sessions import end_sessions, is_current, open_sessions
from accounts.signals import activity, tell_store
from accounts.views import SignedInRequest, require_reauthentication


@login_required
@never_cache
@require_http_methods(["GET", "HEAD"])
def sessions(request: SignedInRequest) -> HttpResponse:
    """List the user's sessions, newest first."""
    listed = open_sessions(request.user)
    current = next((session.pk for session in listed if is_current(session, request)), None)
    return render(request, "accounts/sessions.html", {"sessions": listed, "current": current})


@login_required
@require_POST
def end_session(request: SignedInRequest, session_id: int) -> HttpResponse:
    """End a session of the user."""
    return _end(request, UserSession.objects.filter(user=request.user, pk=session_id))


@login_required
@require_POST
def end_other_sessions(request: SignedInRequest) -> HttpResponse:
    """End all sessions of the user but the current one."""
    own = UserSession.objects.filter(user=request.user)
    others = [session for session in own if not is_current(session, request)]
    return _end(request, others, needed=False)


def _end(
    request: SignedInRequest, found: Iterable[UserSession], *, needed: bool = True
) -> HttpResponse:
    sessions = list(found)
    if needed and not sessions:
        raise Http404
    require_reauthentication(
        request
    )  # a thief with an open browser could log the user out elsewhere
    if not sessions:
        messages.info(request, _("You have no other sessions."))
        return redirect("sessions")
    count = end_sessions(sessions)
    text = f"Ended {count} session{'' if count == 1 else 's'}"
    tell_store(request.user.pk, activity("sessions_ended", text, request))
    done = ngettext(
        "%(count)d session was logged out.", "%(count)d sessions were logged out.", count
    )
    messages.success(request, done % {"count": count})
    return redirect("sessions")
