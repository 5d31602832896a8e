"""Accounts and API tokens in the Django database, the source of truth for authentication.

The data folder holds a mirror of each account (accounts/signals.py).
"""

import logging
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, URLValidator
from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.db.models.functions import Lower
from django.dispatch import Signal
from django.utils.translation import gettext_lazy as _

from accounts.id_sequences import raise_sequence
from accounts.names import (
    NAME_CHARACTERS_MAX,
    NAME_KEY_CHARACTERS_MAX,
    EmailStatus,
    NameKeyField,
    is_known_clash,
    meaning,
    proved,
    validate_name,
)
from docstore import StoreError
from utils.json_storage import json_storage
from workspace.schema.validation import COLLECTIONS
from workspace.texts import folded_name

log = logging.getLogger(__name__)

# Sent with `user`, within the transaction that saves a new password of an existing account.
password_saved = Signal()

_web_address = URLValidator(schemes=["http", "https"])


def empty_profile() -> dict[str, Any]:
    """Return the default of the part of a profile that is stored as JSON."""
    empty: dict[str, Any] = COLLECTIONS["users"].by_name["profile"].fresh_default()
    return empty


class UserType(models.TextChoices):
    INDIVIDUAL = "individual", _("Individual")
    BUSINESS = "business", _("Business")
    ENTERPRISE = "enterprise", _("Enterprise")


class SkillLevel(models.TextChoices):
    BEGINNER = "beginner", _("Beginner")
    INTERMEDIATE = "intermediate", _("Intermediate")
    ADVANCED = "advanced", _("Advanced")
    EXPERT = "expert", _("Expert")


class People(UserManager["User"]):
    """A manager that looks up users by folded name, under which names are unique."""

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Return the address in lower case, as log-in and password reset look it up."""
        return (email or "").lower()

    def get_by_natural_key(self, username: str | None) -> "User":
        key = folded_name(username or "")
        return self.get(models.Q(name_key=key) | models.Q(name_key=None, username__iexact=username))

    def meant_by(self, text: str) -> models.QuerySet["User"]:
        """Return the accounts that log in with this user name, or this address if it has an @."""
        return self.filter(meaning(text)).distinct()

    def proved_addresses(self, user_id: int) -> list[str]:
        """Return the addresses that the account has proved, in lower case."""
        rows = self.filter(pk=user_id, emailaddress__verified=True)
        return [address.lower() for address in rows.values_list("emailaddress__email", flat=True)]

    def with_proved(self, address: str) -> "User | None":
        """Return the account that has proved the address, or None."""
        return self.filter(proved(address)).first()


class User(AbstractUser):
    """A user account."""

    username = models.CharField(
        _("username"),
        max_length=NAME_CHARACTERS_MAX,
        unique=True,
        help_text=_("Letters, digits, and . + - _ only."),
        validators=[validate_name],
        error_messages={"unique": _("A user with that username already exists.")},
    )
    name_key = NameKeyField(max_length=NAME_KEY_CHARACTERS_MAX, null=True, editable=False)
    email_status = models.CharField(
        _("unconfirmed address"),
        max_length=10,
        choices=EmailStatus,
        default=EmailStatus.CONTACT,
        editable=False,
    )
    user_type = models.CharField(
        _("account type"), max_length=20, choices=UserType, default=UserType.INDIVIDUAL
    )
    skill_level = models.CharField(
        _("skill level"), max_length=20, choices=SkillLevel, default=SkillLevel.BEGINNER
    )
    subscription_plan = models.CharField(_("plan"), max_length=50, default="free")
    api_calls_limit = models.PositiveIntegerField(
        _("API calls per hour"), default=1000, validators=[MaxValueValidator(2**31 - 1)]
    )
    group_id = models.PositiveBigIntegerField(_("group"), null=True, blank=True)
    company_name = models.CharField(_("company"), max_length=200, blank=True)
    job_title = models.CharField(_("job title"), max_length=200, blank=True)
    bio = models.TextField(_("about you"), max_length=2000, blank=True)
    location = models.CharField(_("location"), max_length=200, blank=True)
    website = models.CharField(_("website"), max_length=500, blank=True, validators=[_web_address])
    linkedin_url = models.CharField(
        _("LinkedIn page"), max_length=500, blank=True, validators=[_web_address]
    )
    github_url = models.CharField(
        _("GitHub page"), max_length=500, blank=True, validators=[_web_address]
    )
    is_profile_public = models.BooleanField(_("public profile"), default=False)
    receive_notifications = models.BooleanField(_("notifications"), default=True)
    profile = models.JSONField(_("profile"), default=empty_profile, blank=True)
    mirror_faults = models.PositiveIntegerField(
        _("sync errors"),
        default=0,
        editable=False,
        help_text=_("Changes of this account that could not be written to the data folder."),
    )

    leaving_at = models.DateTimeField(
        _("deletion started"),
        null=True,
        editable=False,
        help_text=_("If it does not finish by itself, run setup_data --sync-users."),
    )

    objects: ClassVar[People] = People()

    class Meta(AbstractUser.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(
                Lower("username"),
                name="accounts_username_unique",
                violation_error_message=_("A user with that username already exists."),
            ),
            models.UniqueConstraint(
                fields=["name_key"],
                name="accounts_name_key_unique",
                violation_error_message=_("A user with that username already exists."),
            ),
        ]

    @property
    def mail_address(self) -> str:
        """The proved or legacy address for mail about the account, or "" if there is none."""
        is_theirs = self.email_status == EmailStatus.LEGACY
        if not is_theirs and self.email:
            is_theirs = User.objects.filter(proved(self.email), pk=self.pk).exists()
        return self.email if is_theirs else ""

    def clean(self) -> None:
        """Raise `ValidationError` if another account's name folds to the same key."""
        super().clean()
        others = User.objects.exclude(pk=self.pk).filter(name_key=folded_name(self.username))
        if others.exists() and not is_known_clash(self):
            raise ValidationError({"username": _("A user with that username already exists.")})

    @staticmethod
    def former_among(ids: Iterable[int]) -> set[int]:
        """Return those of the ids that belonged to deleted accounts."""
        return set(ids) & set(FormerAccount.objects.values_list("pk", flat=True).iterator())

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the account. A new one gets an id without documents in the store.

        Sends `password_saved` in the same transaction if an existing account has a new password.
        """
        self.email = People.normalize_email(self.email)
        if "username" in (names := kwargs.get("update_fields") or ()):
            kwargs["update_fields"] = {*names, "name_key"}
        using = kwargs.get("using") or DEFAULT_DB_ALIAS
        if self.pk is not None:
            # False for a rehash of the same password: Django clears `_password` before it saves.
            has_new_password = getattr(self, "_password", None) is not None
            with transaction.atomic(using=using):
                super().save(*args, **kwargs)
                if has_new_password:
                    password_saved.send(sender=User, user=self)
            return
        with transaction.atomic(using=using):
            try:
                step_over_old_owners(using)
            except StoreError:
                # Sign-up must work without the store. `make run` checks the ids at each start.
                log.exception("A new account's id was not checked against the store")
            super().save(*args, **kwargs)


def step_over_old_owners(using: str = DEFAULT_DB_ALIAS) -> None:
    """Raise the id sequence above all owners in the store and all deleted accounts.

    Without this, a new user could get the documents of a copied data folder, or of a folder older
    than the database, or see a deleted user's history in the journal.

    Call it inside a transaction. Raises `StoreError` if the store cannot be read.
    """
    former = FormerAccount.objects.using(using).aggregate(last=models.Max("pk"))["last"] or 0
    raise_sequence(User, max(json_storage.max_owner_id(), former), using=using)


def all_scopes() -> list[str]:
    """Return the scopes of a token without restrictions."""
    return ["write"]


class FormerAccount(models.Model):
    """The id of a deleted account, and no other data of it.

    It is never reused, and identifies documents that a restored backup brings back.
    """

    id = models.BigIntegerField(primary_key=True)
    left_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.pk}, until {self.left_at}"


class AddressInvitation(models.Model):
    """A reference to a project with an invitation to an e-mail address."""

    address = models.CharField(max_length=254)  # in lower case
    owner = models.PositiveBigIntegerField()
    project_id = models.PositiveBigIntegerField()
    # Hidden from the owner, as it would reveal the account of the address.
    is_declined = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["address", "owner", "project_id"], name="accounts_invitation_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.pk}"


class RefusedInviter(models.Model):
    """A user whose invitations another user blocks."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    inviter = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "inviter"], name="accounts_refused_unique")
        ]

    def __str__(self) -> str:
        return f"{self.inviter}"


class SignUpInvitation(models.Model):
    """A member's invitation to sign up. Only the digest of its code is stored."""

    inviter = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True)  # SHA-256, hexadecimal
    address = models.EmailField(blank=True)  # where the link was mailed
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    # For the operator: the account that the invitation opened.
    account = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.pk}, by {self.inviter_id}"


class ApiToken(models.Model):
    """An API token of a user. Only its digest is stored. The token is shown once, when created."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=100, blank=True)
    prefix = models.CharField(_("prefix"), max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)  # SHA-256, hexadecimal
    # A list of `accounts.tokens.SCOPES`.
    scopes = models.JSONField(_("scopes"), default=all_scopes, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})" if self.name else f"{self.prefix}…"

    @property
    def label(self) -> str:
        """The token's name in quotes, or the beginning of its text if it has no name."""
        return f"“{self.name}”" if self.name else f"{self.prefix}…"


class FailedAttempts(models.Model):
    """The used part of a rate limit, by limit and subject (accounts/throttle.py)."""

    key = models.CharField(max_length=64, primary_key=True)  # SHA-256, hexadecimal
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key[:8]}… until {self.until}"
