"""The page to list, create and revoke a user's API tokens."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import SCOPE_WORDS, TokenForm
from accounts.models import ApiToken
from accounts.tokens import TOKENS_MAX, TooManyTokens, create_token, is_valid, revoke
from accounts.views import SignedInRequest, require_reauthentication
from docstore import StoreError
from utils.json_storage import json_storage

log = logging.getLogger(__name__)

SHOWN_MAX = 100
_REVOKED, _EXPIRED = gettext_lazy("Revoked"), gettext_lazy("Expired")


@dataclass(frozen=True)
class TokenDisplay:
    """A token as the page shows it."""

    token: ApiToken
    scopes: list[str]
    calls: int | None  # in this hour; None if the user's document cannot be read
    ended: str  # "Revoked", "Expired", or "" if valid


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: SignedInRequest) -> HttpResponse:
    """List tokens, and create one. Its text is only in this response."""
    form = TokenForm(request.POST or None)
    made, text = None, ""
    if request.method == "POST":
        require_reauthentication(request)
    if form.is_valid():
        try:
            made, text = create_token(request.user, **form.cleaned_data, request=request)
            form = TokenForm()
        except TooManyTokens:
            message = _("You have %(most)d tokens. Revoke one first.") % {"most": TOKENS_MAX}
            form.add_error(None, message)
    context = {"form": form, "made": made, "text": text, "rows": _rows(request)}
    return render(request, "accounts/tokens.html", context, status=201 if made else 200)


@login_required
@require_POST
def revoke_token(request: SignedInRequest, token_id: int) -> HttpResponse:
    """Revoke a token of the user."""
    token = get_object_or_404(ApiToken, pk=token_id, user=request.user)
    if revoke(token, request):
        messages.success(request, _("The token was revoked. It no longer works."))
    return redirect("tokens")


def _rows(request: SignedInRequest) -> list[TokenDisplay]:
    """Return valid tokens, then ended ones, each newest first."""
    now, calls = timezone.now(), _calls(request)
    newest = ApiToken.objects.filter(user=request.user)[:SHOWN_MAX]
    rows = [
        TokenDisplay(
            token,
            [str(SCOPE_WORDS[scope]) for scope in token.scopes if scope in SCOPE_WORDS],
            None if calls is None else calls.get(str(token.pk), 0),
            "" if is_valid(token, now) else str(_REVOKED if token.revoked_at else _EXPIRED),
        )
        for token in newest
    ]
    return sorted(rows, key=lambda row: bool(row.ended))


def _calls(request: SignedInRequest) -> Mapping[str, int] | None:
    """Return the calls of each token in this hour by token id, or None if they cannot be read."""
    try:
        return json_storage.quota(request.user.pk).by_token
    except (StoreError, OSError):
        log.exception("The API calls of account %s cannot be read", request.user.pk)
        return None
