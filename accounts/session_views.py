"""The page of a person's sessions: where they are signed in, and the end of it."""

from collections.abc import Iterable

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.signals import activity, tell_store
from accounts.views import SignedInRequest


@login_required
@never_cache
@require_http_methods(["GET", "HEAD"])
def sessions(request: SignedInRequest) -> HttpResponse:
    """Shows where one is signed in, the newest first."""
    found = UserSession.objects.purge_and_list(request.user)
    found.sort(key=lambda session: session.created_at, reverse=True)
    return render(request, "accounts/sessions.html", {"sessions": found})


@login_required
@require_POST
def end_session(request: SignedInRequest, session_id: int) -> HttpResponse:
    """Signs out another of one's own browsers."""
    return _end(request, UserSession.objects.filter(user=request.user, pk=session_id))


@login_required
@require_POST
def end_other_sessions(request: SignedInRequest) -> HttpResponse:
    """Signs out all of one's browsers but this."""
    own = UserSession.objects.filter(user=request.user)
    return _end(request, own.exclude(session_key=request.session.session_key), needed=False)


def _end(
    request: SignedInRequest, found: Iterable[UserSession], *, needed: bool = True
) -> HttpResponse:
    ended = list(found)
    if needed and not ended:
        raise Http404
    for session in ended:
        session.end()
    said = f"Ended {len(ended)} session{'' if len(ended) == 1 else 's'}"
    tell_store(request.user.pk, activity("sessions_ended", said, request))
    messages.success(request, _("Signed out there."))
    return redirect("sessions")
