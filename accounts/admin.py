from typing import TYPE_CHECKING, Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken, User
from accounts.signals import activity, tell_store

if TYPE_CHECKING:  # these classes take no parameter when the program runs
    CreationFormOfUser = AdminUserCreationForm[User]
    AdminOfUser = DjangoUserAdmin[User]
    AdminOfToken = admin.ModelAdmin[ApiToken]
else:
    CreationFormOfUser, AdminOfUser = AdminUserCreationForm, DjangoUserAdmin
    AdminOfToken = admin.ModelAdmin

# The administration signs people in by the same page, with the same limits on attempts.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


class NewUserForm(CreationFormOfUser):
    class Meta(AdminUserCreationForm.Meta):
        model = User
        fields = ("username", "email")


@admin.register(User)
class UserAdmin(AdminOfUser):
    add_form = NewUserForm
    list_display = ("username", "email", "user_type", "is_active", "is_staff", "mirror_faults")
    list_filter = ("is_staff", "is_superuser", "is_active", "user_type", "skill_level")
    readonly_fields = ("last_login", "date_joined", "mirror_faults")
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

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change:
            said = "Profile updated by an administrator"
            tell_store(obj.pk, activity("profile_updated", said, request))

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        response = super().user_change_password(request, id, form_url)
        # It redirects to itself when it refuses, and to the account's page when it has saved.
        back = response.url if isinstance(response, HttpResponseRedirect) else None
        if back and back != request.get_full_path():
            said = "Password changed by an administrator"
            tell_store(int(id), activity("password_changed", said, request))
        return response


@admin.register(ApiToken)
class ApiTokenAdmin(AdminOfToken):
    """Tokens can be looked through and deleted; `create_token` makes them."""

    list_display = ("user", "name", "prefix", "scopes", "last_used_at", "expires_at", "revoked_at")
    search_fields = ("user__username", "name", "prefix")
    fields = (*list_display, "created_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False
