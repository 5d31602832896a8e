from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from accounts import signals  # connects the other receivers

        # Connected here and not where it is defined: django.contrib.auth was ready before us,
        # so its receiver has written last_login when ours mirrors it.
        user_logged_in.connect(signals.log_sign_in)
