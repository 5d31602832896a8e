"""Well-known URLs (RFC 8615, and /favicon.ico) that tools expect."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

from api.public_address import public_url

VALID_FOR = timedelta(days=180)  # RFC 9116 advises against more than a year


@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """Return the security contact (RFC 9116). Responds 404 without one, because it is mandatory."""
    contacts: list[str] = settings.NEURALFLOW_SECURITY_CONTACT
    if not contacts:
        raise Http404
    # Round to days. Otherwise every response would differ.
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
    """Show how to report a vulnerability, and what happens then."""
    contacts: list[str] = settings.NEURALFLOW_SECURITY_CONTACT
    shown = [(contact, contact.removeprefix("mailto:")) for contact in contacts]
    return render(request, "security.html", {"contacts": shown})


@require_safe
def change_password(request: HttpRequest) -> HttpResponse:
    """Redirect password managers (W3C, "A Well-Known URL for Changing Passwords")."""
    return redirect("account_change_password")


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Redirect browsers on pages without an icon link, such as the admin."""
    return redirect(static("img/favicon.svg"))
