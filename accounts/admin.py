import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.deletion import delete_user
from accounts.models import ApiToken, User
from accounts.names import EmailStatus
from accounts.signals import activity, tell_store
from docstore import StoreError
from utils.json_storage import json_storage

log = logging.getLogger(__name__)

if TYPE_CHECKING:  # these classes are not generic at run time
    CreationFormOfUser = AdminUserCreationForm[User]
    AdminOfUser = DjangoUserAdmin[User]
    AdminOfToken = admin.ModelAdmin[ApiToken]
else:
    CreationFormOfUser, AdminOfUser = AdminUserCreationForm, DjangoUserAdmin
    AdminOfToken = admin.ModelAdmin

# The administration uses our log-in page. Its own would bypass the limits on attempts.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


class NewUserForm(CreationFormOfUser):
    class Meta(AdminUserCreationForm.Meta):
        model = User
        fields = ("username", "email")


@admin.register(User)
class UserAdmin(AdminOfUser):
    add_form = NewUserForm
    list_display = ("username", "email", "user_type", "is_active", "is_staff", "leaving_at")
    list_filter = ("is_staff", "is_superuser", "is_active", "user_type", "skill_level")
    readonly_fields = ("last_login", "date_joined", "mirror_faults", "leaving_at")
    fieldsets = (
        *DjangoUserAdmin.fieldsets,  # type: ignore[misc]
        (
            _("NeuralFlow"),
            {
                "fields": (
                    "user_type",
                    "skill_level",
                    "subscription_plan",
                    "api_calls_limit",
                    "group_id",
                    "company_name",
                    "job_title",
                    "bio",
                    "location",
                    "website",
                    "linkedin_url",
                    "github_url",
                    "is_profile_public",
                    "receive_notifications",
                    "profile",
                    "mirror_faults",
                    "leaving_at",
                )
            },
        ),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("username", "email", "usable_password", "password1", "password2"),
            },
        ),
    )
    delete_confirmation_template = "accounts/admin_delete_user.html"
    delete_selected_confirmation_template = "accounts/admin_delete_users.html"

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        self.delete_queryset(request, User.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Mark the accounts for deletion, and delete them after the page's transaction commits."""
        leaving = list(queryset)
        queryset.update(leaving_at=timezone.now())
        for user in leaving:
            transaction.on_commit(partial(_remove, user))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if "email" in form.changed_data:
            obj.email_status = EmailStatus.CONTACT
        super().save_model(request, obj, form, change)
        if change:
            text = "Profile updated by an administrator"
            tell_store(obj.pk, activity("profile_updated", text, request))

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        response = super().user_change_password(request, id, form_url)
        # The page redirects to itself if it refuses, and to the account's page after saving.
        back = response.url if isinstance(response, HttpResponseRedirect) else None
        if back and back != request.get_full_path():
            text = "Password changed by an administrator"
            tell_store(int(id), activity("password_changed", text, request))
        return response


def _remove(user: User) -> None:
    """Delete an account and its documents. If the store fails, the account stays marked."""
    try:
        delete_user(json_storage, user)
    except StoreError:
        log.exception("Account %s was not deleted", user.pk)
        User.objects.filter(pk=user.pk).update(leaving_at=timezone.now())


@admin.register(ApiToken)
class ApiTokenAdmin(AdminOfToken):
    """A list of tokens to read and delete. The command `create_token` creates them."""

    list_display = ("user", "name", "prefix", "scopes", "last_used_at", "expires_at", "revoked_at")
    search_fields = ("user__username", "name", "prefix")
    fields = (*list_display, "created_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False
