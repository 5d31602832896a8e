"""User names: what they may be, when two are the same, and whom a name or an address means.

A name never holds an @, so that it cannot be taken for an address: an invitation or a token for
bob@example.com must not reach an account that took this as its name. Two names are the same if
they differ in capitals or compatibility forms alone. An address means an account only where its
owner proved it: accounts/addresses.py. A database compares ASCII only, SQLite at least, so the
folded name is stored in a column of its own.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from utils.texts import folded_name

NAME_CHARACTERS_MAX: Final = 150
# The longest compatibility form has 18 characters.
NAME_KEY_CHARACTERS_MAX: Final = 18 * NAME_CHARACTERS_MAX

_NAME = re.compile(r"[\w.+-]+")
# Letters by Unicode that are drawn as nothing: fillers of Hangul and Khmer.
_UNSEEN = re.compile(r"[\u115f\u1160\u17b4\u17b5\u3164\uffa0]")


def validate_name(name: str) -> None:
    """Refuse a name that could be an address, or that holds other than letters, digits and .+-_.

    Raises `ValidationError`.
    """
    normal = unicodedata.normalize("NFKC", name)
    if not _NAME.fullmatch(normal) or _UNSEEN.search(normal):
        raise ValidationError(_("Use letters, digits and . + - _ only, without @."), code="invalid")


if TYPE_CHECKING:
    CharField = models.CharField[str | None, str | None]
else:
    CharField = models.CharField


class NameKeyField(CharField):
    """The folded user name, computed at each save; unique.

    None for an account of an older release whose name is another's but for its form. It stays so
    until either gets another name, and `setup_data --validate` reports it.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> str | None:
        """Return what is stored: the folded name of the account as it is now."""
        key = None if is_known_clash(model_instance) else folded_name(name_of(model_instance))
        setattr(model_instance, self.attname, key)
        return key


def name_of(account: Any) -> str:
    """Return the user name of an account."""
    return str(account.get_username())


def is_known_clash(account: Any) -> bool:
    """Whether the account kept a name from before that is another's but for its form."""
    if account.pk is None or account.name_key is not None:
        return False
    others = type(account)._base_manager.exclude(pk=account.pk)
    stored = type(account)._base_manager.filter(pk=account.pk, name_key=None)
    has_clash: bool = others.filter(name_key=folded_name(name_of(account))).exists()
    return has_clash and stored.filter(username=name_of(account)).exists()


def meaning(text: str) -> models.Q:
    """Return the condition for accounts that log in with the text: by address if it has an @.

    An address is a name if its account proved it, or had it before addresses were proved.
    """
    if "@" in text:
        legacy = models.Q(email=text.lower(), email_status=EmailStatus.LEGACY)
        return legacy | proved(text)
    unfolded = models.Q(name_key=None, username__iexact=text)  # of an older release
    return models.Q(name_key=folded_name(text)) | unfolded


def proved(address: str) -> models.Q:
    """Return the condition for the account that proved the address: at most one.

    Addresses are stored in small letters. A look-up that ignores case would also find, in
    PostgreSQL, letters of which only the capitals are the same, as U+0131 and i: the link for a new
    password of one account would be sent to the address of another person.
    """
    return models.Q(emailaddress__email=address.lower(), emailaddress__verified=True)


class EmailStatus(models.TextChoices):
    """How far an address that nobody proved counts."""

    CONTACT = "contact", gettext_lazy("contact only")
    # The account opens once its address is proved.
    PENDING = "pending", gettext_lazy("to be proved")
    # Of an older release: it opens its account until somebody proves it.
    LEGACY = "legacy", gettext_lazy("never asked for proof")
