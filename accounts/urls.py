"""URLs of accounts, under our names and django-allauth's.

Features of allauth that we do not offer have no URL: several addresses per account, log-in by mail.
"""

from allauth.account import views as allauth_views
from allauth.mfa.base import views as mfa_views
from allauth.mfa.recovery_codes import views as codes_views
from allauth.mfa.totp import views as totp_views
from django.urls import include, path, re_path

import api.url_converters  # noqa: F401  it registers record_id
from accounts import (
    account_deletion_views,
    invitation_views,
    password_views,
    session_views,
    token_views,
    views,
)

urlpatterns = [
    path("api/", include("accounts.api_urls")),
    path("signup/", views.SignUpView.as_view(), name="signup"),
    path("signup/", views.SignUpView.as_view(), name="account_signup"),
    path("login/", views.LoginView.as_view(), name="login"),
    path("login/", views.LoginView.as_view(), name="account_login"),
    path("logout/", allauth_views.logout, name="logout"),
    path("logout/", allauth_views.logout, name="account_logout"),
    path("inactive/", allauth_views.account_inactive, name="account_inactive"),
    path("profile/", views.profile, name="profile"),
    path("profile/", views.profile, name="account_email"),
    path("profile/prove/", views.prove_address, name="prove_address"),
    path("verify/", views.verify_address, name="account_email_verification_sent"),
    path("delete/", account_deletion_views.delete_account, name="delete_account"),
    path("deleted/", account_deletion_views.account_deleted, name="account_deleted"),
    path("deleted/receipt.txt", account_deletion_views.deletion_receipt, name="deletion_receipt"),
    path("tokens/", token_views.tokens, name="tokens"),
    path("tokens/<record_id:token_id>/revoke/", token_views.revoke_token, name="revoke_token"),
    path("invitations/", invitation_views.sign_up_invitations, name="sign_up_invitations"),
    path(
        "invitations/<record_id:number>/revoke/",
        invitation_views.revoke_sign_up_invitation,
        name="revoke_sign_up_invitation",
    ),
    path("sessions/", session_views.sessions, name="sessions"),
    path("sessions/end/", session_views.end_other_sessions, name="end_other_sessions"),
    path("sessions/<record_id:session_id>/end/", session_views.end_session, name="end_session"),
    path("reauthenticate/", allauth_views.reauthenticate, name="account_reauthenticate"),
    path("2fa/", mfa_views.index, name="mfa_index"),
    path("2fa/authenticate/", mfa_views.authenticate, name="mfa_authenticate"),
    path("2fa/reauthenticate/", mfa_views.reauthenticate, name="mfa_reauthenticate"),
    path("2fa/totp/activate/", totp_views.activate_totp, name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", totp_views.deactivate_totp, name="mfa_deactivate_totp"),
    path("2fa/codes/", codes_views.view_recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "2fa/codes/generate/",
        codes_views.generate_recovery_codes,
        name="mfa_generate_recovery_codes",
    ),
    path(
        "password/change/",
        password_views.PasswordChangeView.as_view(),
        name="account_change_password",
    ),
    path("password/set/", password_views.PasswordSetView.as_view(), name="account_set_password"),
    path("password/reset/", password_views.password_reset, name="account_reset_password"),
    path(
        "password/reset/done/",
        allauth_views.password_reset_done,
        name="account_reset_password_done",
    ),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        password_views.ResetView.as_view(),
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        allauth_views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
]
