"""Which language pages speak to who is not signed in: what was chosen at the foot of a page.

It is kept in a cookie, from which Django reads it for each page. Who signs in and has chosen a
language in the settings is answered in that.
"""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from core.going_back import back_to

KEPT_FOR: Final = timedelta(days=365)


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Keeps the choice, and leads back to the page on which it was made."""
    language = request.POST.get("language", "")
    if language not in dict(settings.LANGUAGES):
        return HttpResponseBadRequest()
    back = HttpResponseRedirect(back_to(request, reverse("home")))
    back.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=KEPT_FOR,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return back
