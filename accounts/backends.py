"""How a name and a password become an account."""

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from accounts.models import User


class OneHashBackend(AuthenticationBackend):
    """Checks the password of an account once, however many ways lead to it.

    allauth looks for what was typed as an address, as a name, and as an address again. Whoever is
    known by their address would cost twice the time of a stranger, and could be told by it.
    """

    def authenticate(
        self, request: HttpRequest | None, **credentials: object
    ) -> AbstractBaseUser | None:
        self._refused: set[object] = set()
        return super().authenticate(request, **credentials)

    def _authenticate_by_username(self, username: str, password: str) -> AbstractBaseUser | None:
        """By the folded name; what has an @ is an address, and no name."""
        if "@" in username:
            return None
        return self._check_password(User.objects.meant_by(username).first(), password)

    def _authenticate_by_email(self, email: str, password: str) -> AbstractBaseUser | None:
        """By an address that is a name: accounts.names has the rule."""
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
