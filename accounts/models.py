"""The account and its tokens, in the Django database: the authority on who may come in.

What the data folder keeps of an account is a mirror of it; see accounts/signals.py.
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
from accounts.sequences import raise_sequence
from docstore import StoreError
from utils.json_storage import json_storage
from utils.records import COLLECTIONS
from utils.texts import folded_name

log = logging.getLogger(__name__)

# Sent with `user`, within the transaction that saves a new password of an existing account.
password_saved = Signal()

_web_address = URLValidator(schemes=["http", "https"])


def empty_profile() -> dict[str, Any]:
    """The part of a profile that is kept as JSON, before anything was entered."""
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
    """Finds people by name whatever its capitals, as the uniqueness of names does."""

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """*email* in small letters: sign-in and password reset look for it so."""
        return (email or "").lower()

    def get_by_natural_key(self, username: str | None) -> "User":
        key = folded_name(username or "")
        return self.get(models.Q(name_key=key) | models.Q(name_key=None, username__iexact=username))

    def meant_by(self, text: str) -> models.QuerySet["User"]:
        """Return the accounts that log in with this user name, or address if it has an @."""
        return self.filter(meaning(text)).distinct()

    def proved_addresses(self, user_id: int) -> list[str]:
        """Return the addresses that the account proved, in small letters."""
        rows = self.filter(pk=user_id, emailaddress__verified=True)
        return [address.lower() for address in rows.values_list("emailaddress__email", flat=True)]

    def with_proved(self, address: str) -> "User | None":
        """Return the account that proved the address; None if none did."""
        return self.filter(proved(address)).first()


class User(AbstractUser):
    """A person with an account."""

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
        _("unproved address"),
        max_length=10,
        choices=EmailStatus,
        default=EmailStatus.CONTACT,
        editable=False,
    )
    user_type = models.CharField(
        _("kind of account"), max_length=20, choices=UserType, default=UserType.INDIVIDUAL
    )
    skill_level = models.CharField(
        _("skill level"), max_length=20, choices=SkillLevel, default=SkillLevel.BEGINNER
    )
    subscription_plan = models.CharField(_("plan"), max_length=50, default="free")
    api_calls_limit = models.PositiveIntegerField(
        _("API calls allowed"), default=1000, validators=[MaxValueValidator(2**31 - 1)]
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
        _("mirror faults"),
        default=0,
        editable=False,
        help_text=_("How often the data folder could not be told of a change of this account."),
    )

    leaving_at = models.DateTimeField(
        _("deletion begun"),
        null=True,
        editable=False,
        help_text=_("Finish it by setup_data --sync-users, if it is not finished by itself."),
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
        """The address to which mail about the account may go; "" if it may be a stranger's."""
        is_theirs = self.email_status == EmailStatus.LEGACY
        if not is_theirs and self.email:
            is_theirs = User.objects.filter(proved(self.email), pk=self.pk).exists()
        return self.email if is_theirs else ""

    def clean(self) -> None:
        """Refuse a name that another account has but for its form."""
        super().clean()
        others = User.objects.exclude(pk=self.pk).filter(name_key=folded_name(self.username))
        if others.exists() and not is_known_clash(self):
            raise ValidationError({"username": _("A user with that username already exists.")})

    @staticmethod
    def former_among(ids: Iterable[int]) -> set[int]:
        """Which of the ids belonged to accounts that were deleted."""
        return set(ids) & set(FormerAccount.objects.values_list("pk", flat=True).iterator())

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves; a new account gets an id under which the store keeps nothing yet."""
        self.email = People.normalize_email(self.email)
        if "username" in (names := kwargs.get("update_fields") or ()):
            kwargs["update_fields"] = {*names, "name_key"}
        using = kwargs.get("using") or DEFAULT_DB_ALIAS
        if self.pk is not None:
            # Not a better hash of the same password: Django then takes the text away first.
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
                # People get in while the store is away. `make run` looks at each start, too.
                log.exception("A new account's id was not checked against the store")
            super().save(*args, **kwargs)


def step_over_old_owners(using: str = DEFAULT_DB_ALIAS) -> None:
    """Makes the next account's id greater than every owner's in the store.

    A data folder may hold documents of people that this database has never known: a folder
    copied from elsewhere, or a database begun anew. Whoever signs up must not be given them. Nor
    an id of somebody who has left: the history of the store may tell of it.
    To be called inside a transaction. Raises `StoreError` when the store cannot tell.
    """
    former = FormerAccount.objects.using(using).aggregate(last=models.Max("pk"))["last"] or 0
    raise_sequence(User, max(json_storage.highest_owner(), former), using=using)


def all_scopes() -> list[str]:
    """Of a token that is for everything."""
    return ["write"]


class FormerAccount(models.Model):
    """The id of an account that was deleted, and nothing else of it: so that it is never given
    again, and documents that a backup brings back are known for what they are."""

    id = models.BigIntegerField(primary_key=True)
    left_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.pk}, until {self.left_at}"


class AddressInvitation(models.Model):
    """A project that an e-mail address is invited to; the project has the invitation itself."""

    address = models.CharField(max_length=254)  # in small letters
    owner = models.PositiveBigIntegerField()
    project_id = models.PositiveBigIntegerField()
    # The owner is not told: that would tell whose the address is.
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
    """Somebody whose invitations do not reach the user any more."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    inviter = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "inviter"], name="accounts_refused_unique")
        ]

    def __str__(self) -> str:
        return f"{self.inviter}"


class ApiToken(models.Model):
    """A key to the API in a person's name. Only its digest is kept: the token itself is shown
    once, when it is made."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=100, blank=True)
    prefix = models.CharField(_("begins with"), max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)  # SHA-256, hexadecimal
    # A list; accounts/tokens.py says what there is.
    scopes = models.JSONField(_("scopes"), default=all_scopes, editable=False)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
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
        """The token's name in quotes; without one, how its text begins."""
        return f"“{self.name}”" if self.name else f"{self.prefix}…"


class FailedAttempts(models.Model):
    """How much of a limit is used up; accounts/throttle.py says by what and for how long."""

    key = models.CharField(max_length=64, primary_key=True)  # SHA-256, hexadecimal
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key[:8]}… until {self.until}"
