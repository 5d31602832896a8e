"""The page to invite people to sign up, for servers where only invited people may."""

from dataclasses import dataclass

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import guards
from accounts.joining import VALID_SECONDS, invite, link_of, may_invite, revoke
from accounts.mail import send_notice
from accounts.models import SignUpInvitation
from accounts.signals import activity, tell_store
from accounts.throttle import Attempt, TooManyAttempts, subject_of
from accounts.views import SignedInRequest
from api.public_address import public_name, public_url

SHOWN_MAX = 100
_OPEN, _USED = gettext_lazy("Open"), gettext_lazy("Used")
_REVOKED, _EXPIRED = gettext_lazy("Revoked"), gettext_lazy("Expired")


class SignUpInvitationForm(forms.Form):
    """A form for the address of an invitation, on servers that send mail."""

    address = forms.EmailField(
        label=gettext_lazy("Email address"),
        required=False,
        help_text=gettext_lazy("Leave it empty to get a link that you pass on yourself."),
    )

    def __init__(self, data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        if not settings.NEURALFLOW_SENDS_MAIL:
            del self.fields["address"]


@dataclass(frozen=True)
class InvitationRow:
    """An invitation as the page shows it."""

    invitation: SignUpInvitation
    state: str

    @property
    def is_open(self) -> bool:
        return self.state == str(_OPEN)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up_invitations(request: SignedInRequest) -> HttpResponse:
    """List the user's invitations, and create one. Its link is only in this response, or mailed."""
    if request.method != "POST" or not may_invite():
        return _page(request, SignUpInvitationForm())
    form = SignUpInvitationForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    address = form.cleaned_data.get("address", "").lower()
    try:
        code = invite(request.user, address)
    except TooManyAttempts as refused:
        text = _("You cannot invite more people today. Try again later.")
        form.add_error(None, text)
        response = _page(request, form, status=429)
        response["Retry-After"] = str(refused.wait)
        return response
    tell_store(request.user.pk, activity("account_invited", "Invited somebody to sign up", request))
    link = public_url(request, link_of(code))
    if address and _send(request, address, link):
        messages.success(
            request, _("The invitation was sent to %(address)s.") % {"address": address}
        )
        return redirect("sign_up_invitations")
    if address:
        messages.warning(request, _("The mail could not be sent. Pass the link on yourself."))
    return _page(request, SignUpInvitationForm(), link, status=201)


@login_required
@require_POST
def revoke_sign_up_invitation(request: SignedInRequest, number: int) -> HttpResponse:
    """Revoke an invitation of the user."""
    invitation = get_object_or_404(SignUpInvitation, pk=number, inviter=request.user)
    if revoke(invitation):
        messages.success(request, _("The invitation was revoked. Its link no longer works."))
    return redirect("sign_up_invitations")


def _send(request: SignedInRequest, address: str, link: str) -> bool:
    """Mail the link. Return False if it was not sent, or too much was sent there already."""
    try:
        Attempt(
            (guards.UNASKED_MAILS, subject_of(address)),
            (guards.UNASKED_MAILS_FROM, guards.address_of(request)),
        )
    except TooManyAttempts:
        return False
    site = public_name(request)
    lines = [
        _("%(name)s invites you to NeuralFlow at %(site)s. Sign up by this link:")
        % {"name": request.user.get_username(), "site": site},
        link,
        _("It works once, within %(days)d days. If you do not know the sender, ignore this mail.")
        % {"days": VALID_SECONDS // 86_400},
    ]
    return send_notice(address, _("Invitation to NeuralFlow"), lines)


def _page(
    request: SignedInRequest, form: SignUpInvitationForm, link: str = "", status: int = 200
) -> HttpResponse:
    now = timezone.now()
    newest = SignUpInvitation.objects.filter(inviter=request.user)[:SHOWN_MAX]
    rows = [InvitationRow(invitation, str(_state(invitation, now))) for invitation in newest]
    context = {"form": form, "rows": rows, "link": link, "may_invite": may_invite()}
    return render(request, "accounts/sign_up_invitations.html", context, status=status)


def _state(invitation: SignUpInvitation, now: object) -> object:
    if invitation.used_at:
        return _USED
    if invitation.revoked_at:
        return _REVOKED
    return _EXPIRED if invitation.expires_at <= now else _OPEN  # type: ignore[operator]
