"""User names: validation, uniqueness, and look-up by name or address.

A name contains no @. Otherwise an account named bob@example.com could receive the invitations and
tokens meant for that address. Two names are the same if they differ only in case or compatibility
form. As SQLite ignores case for ASCII only, the folded name is stored in a column of its own. An
address identifies an account only if it is proved (accounts/addresses.py).
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workspace.texts import folded_name

NAME_CHARACTERS_MAX: Final = 150
# The longest compatibility form has 18 characters.
NAME_KEY_CHARACTERS_MAX: Final = 18 * NAME_CHARACTERS_MAX

_NAME = re.compile(r"[\w.+-]+")
# Invisible letters: fillers of Hangul and Khmer.
_UNSEEN = re.compile(r"[\u115f\u1160\u17b4\u17b5\u3164\uffa0]")


def validate_name(name: str) -> None:
    """Raise `ValidationError` unless the name consists of letters, digits and .+-_ only."""
    normal = unicodedata.normalize("NFKC", name)
    if not _NAME.fullmatch(normal) or _UNSEEN.search(normal):
        raise ValidationError(_("Use letters, digits and . + - _ only, without @."), code="invalid")


if TYPE_CHECKING:
    CharField = models.CharField[str | None, str | None]
else:
    CharField = models.CharField


class NameKeyField(CharField):
    """The unique folded user name, computed at each save.

    None for an account of an older release whose name folds to that of another account. It stays
    None until one of them is renamed, and `setup_data --validate` reports it.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> str | None:
        """Return the folded name of the account, or None for a known clash."""
        key = None if is_known_clash(model_instance) else folded_name(name_of(model_instance))
        setattr(model_instance, self.attname, key)
        return key


def name_of(account: Any) -> str:
    """Return the user name of an account."""
    return str(account.get_username())


def is_known_clash(account: Any) -> bool:
    """Return whether the account has its old name, which folds to that of another account."""
    if account.pk is None or account.name_key is not None:
        return False
    others = type(account)._base_manager.exclude(pk=account.pk)
    stored = type(account)._base_manager.filter(pk=account.pk, name_key=None)
    has_clash: bool = others.filter(name_key=folded_name(name_of(account))).exists()
    return has_clash and stored.filter(username=name_of(account)).exists()


def meaning(text: str) -> models.Q:
    """Return the condition for accounts that log in with the text, an address if it has an @.

    Proved and legacy addresses can log in.
    """
    if "@" in text:
        legacy = models.Q(email=text.lower(), email_status=EmailStatus.LEGACY)
        return legacy | proved(text)
    unfolded = models.Q(name_key=None, username__iexact=text)  # a known clash
    return models.Q(name_key=folded_name(text)) | unfolded


def proved(address: str) -> models.Q:
    """Return the condition for the account that has proved the address. At most one matches.

    Addresses are stored in lower case and compared exactly. In PostgreSQL, a look-up that ignores
    case would match U+0131 (dotless i) with i, and mail a password-reset link to another person.
    """
    return models.Q(emailaddress__email=address.lower(), emailaddress__verified=True)


class EmailStatus(models.TextChoices):
    """The rights of an unproved address."""

    CONTACT = "contact", gettext_lazy("contact only")
    # The user must prove the address to log in.
    PENDING = "pending", gettext_lazy("to be proved")
    # Of an older release: can log in until another account proves the address.
    LEGACY = "legacy", gettext_lazy("never asked for proof")
