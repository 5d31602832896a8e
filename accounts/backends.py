"""Authentication by user name or e-mail address, and password."""

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from accounts.models import User


class OneHashBackend(AuthenticationBackend):
    """A backend that checks the password of an account only once per attempt.

    allauth looks up the typed text as an address, as a name, and as an address again. An existing
    address would then take two hashes, and the response time would reveal it.
    """

    def authenticate(
        self, request: HttpRequest | None, **credentials: object
    ) -> AbstractBaseUser | None:
        self._refused: set[object] = set()
        return super().authenticate(request, **credentials)

    def _authenticate_by_username(self, username: str, password: str) -> AbstractBaseUser | None:
        """Authenticate by folded user name. Text with an @ is never a user name."""
        if "@" in username:
            return None
        return self._check_password(User.objects.meant_by(username).first(), password)

    def _authenticate_by_email(self, email: str, password: str) -> AbstractBaseUser | None:
        """Authenticate by a proved or legacy address (`accounts.names.meaning`)."""
        if "@" not in email:
            return None
        return self._check_password(User.objects.meant_by(email).first(), password)

    def _check_password(
        self, user: AbstractBaseUser | None, password: str
    ) -> AbstractBaseUser | None:
        if user is None or user.pk in self._refused:
            return None
        self._refused.add(user.pk)
        return super()._check_password(user, password)
