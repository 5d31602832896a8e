from allauth.usersessions.apps import UserSessionsConfig
from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    default = True  # of the two in this module
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from accounts import incident, invited_addresses, signals  # noqa: F401  they connect the other receivers
        from accounts.directory import DjangoAccounts
        from workspace.installation import installation

        installation.accounts, installation.addresses = DjangoAccounts(), invited_addresses

        # Connected here, after django.contrib.auth is ready: its receiver must write last_login
        # before ours mirrors it.
        user_logged_in.connect(signals.log_sign_in)


class ListedSessionsConfig(UserSessionsConfig):  # type: ignore[misc]  # allauth has no types
    """allauth's app for session lists, with receivers that store digests of the session keys."""

    def ready(self) -> None:
        from allauth.account.signals import password_changed, password_set
        from allauth.account.signals import user_logged_in as signed_in

        from accounts.sessions import record_session

        for signal in (signed_in, password_changed, password_set):
            signal.connect(record_session)
