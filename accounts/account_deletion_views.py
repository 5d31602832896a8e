"""Pages to delete the user's account, and to show and download the receipt."""

from typing import Any

from allauth.account.forms import ReauthenticateForm
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.account_deletion import Receipt, retained_data, send_receipt
from accounts.account_deletion import delete_account as delete_with_documents
from accounts.views import SignedInRequest
from docstore import StoreError
from utils.json_storage import json_storage
from utils.middleware import storage_refusal
from workspace.schema.collections import RECORD_COLLECTIONS

_RECEIPT = "receipt"
_RECEIPT_SECONDS = 3600


class LeavingRequest(SignedInRequest):
    request_id: str


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def delete_account(request: LeavingRequest) -> HttpResponse:
    """Show what is deleted and retained, ask for the password, and delete the account."""
    form = ReauthenticateForm(request.POST or None, user=request.user)
    form.fields["password"].help_text = _("To confirm your identity.")
    context = {"form": form, "kept": list(retained_data())}
    try:
        if request.method == "POST" and form.is_valid():
            return _deleted(request)
        context |= _owned(request.user.pk)
    except StoreError as fault:
        return storage_refusal(request, fault, "accounts/delete.html", context)
    return render(request, "accounts/delete.html", context)


def _deleted(request: LeavingRequest) -> HttpResponse:
    address = request.user.mail_address
    receipt = delete_with_documents(json_storage, request.user, request.request_id)
    sent = send_receipt(receipt, address)
    logout(request)
    # In an anonymous session, so that the page can be reloaded and the receipt downloaded.
    request.session[_RECEIPT] = receipt.told() | {"sent": sent}
    request.session.set_expiry(_RECEIPT_SECONDS)
    return redirect("account_deleted")


def _owned(user_id: int) -> dict[str, Any]:
    counts = {name: len(json_storage.view(name, user_id)) for name in RECORD_COLLECTIONS}
    return {"counts": counts}


@never_cache
@require_http_methods(["GET", "HEAD"])
def account_deleted(request: HttpRequest) -> HttpResponse:
    """Show the receipt."""
    receipt, sent = _receipt(request)
    return render(request, "accounts/deleted.html", {"receipt": receipt, "sent": sent})


@never_cache
@require_http_methods(["GET", "HEAD"])
def deletion_receipt(request: HttpRequest) -> HttpResponse:
    """Return the receipt as a text file."""
    receipt, _sent = _receipt(request)
    name = f"neuralflow-receipt-{receipt.account}.txt"
    return HttpResponse(
        receipt.text,
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _receipt(request: HttpRequest) -> tuple[Receipt, bool]:
    payload = dict(request.session.get(_RECEIPT) or {})
    if not payload:
        raise Http404
    sent = bool(payload.pop("sent"))
    return Receipt(**payload), sent
