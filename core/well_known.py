"""What tools look for at addresses that everybody knows (RFC 8615, and the older /favicon.ico):
whom to tell of a weakness, where a password is changed, and what stands for this place.
"""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

from utils.public_address import public_url

VALID_FOR = timedelta(days=180)  # RFC 9116 advises against more than a year


@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """Whom to tell of a weakness (RFC 9116). Nothing is there while no contact is set: the file
    must name one."""
    contacts: list[str] = settings.NEURALFLOW_SECURITY_CONTACT
    if not contacts:
        raise Http404
    # Whole days, or no two answers would be the same.
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        *(f"Contact: {contact}" for contact in contacts),
        f"Expires: {(today + VALID_FOR).strftime('%Y-%m-%dT%H:%M:%SZ')}",
        f"Preferred-Languages: {settings.LANGUAGE_CODE}",
        f"Canonical: {public_url(request, reverse('security_txt'))}",
        f"Policy: {public_url(request, reverse('security_policy'))}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_safe
def security_policy(request: HttpRequest) -> HttpResponse:
    """How to tell of a weakness, and what happens then; the page for people."""
    contacts: list[str] = settings.NEURALFLOW_SECURITY_CONTACT
    shown = [(contact, contact.removeprefix("mailto:")) for contact in contacts]
    return render(request, "core/security.html", {"contacts": shown})


@require_safe
def change_password(request: HttpRequest) -> HttpResponse:
    """Where password managers send people (W3C, "A Well-Known URL for Changing Passwords")."""
    return redirect("account_change_password")


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Where browsers look for it on pages that name none, such as those of the administration."""
    return redirect(static("img/favicon.svg"))
