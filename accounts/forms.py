"""Forms for the profile, which spans columns and JSON of the account, and for API tokens."""

import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.models import User, empty_profile
from accounts.names import EmailStatus
from accounts.tokens import READ, SCOPES, lifetime_of
from workspace.texts import normal

if TYPE_CHECKING:  # the class is not generic at run time
    FormOfUser = forms.ModelForm[User]
else:
    FormOfUser = forms.ModelForm

ENTRIES_MAX = 50
ENTRY_CHARACTERS_MAX = 100


class CommaList(forms.CharField):
    """A field for a list of short texts, separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        entries = [entry.strip() for entry in (text or "").split(",")]
        return list(dict.fromkeys(filter(None, entries)))

    def validate(self, value: Any) -> None:
        super().validate(value)
        if len(value) > ENTRIES_MAX:
            raise ValidationError(_("At most %(most)d entries."), params={"most": ENTRIES_MAX})
        if any(len(entry) > ENTRY_CHARACTERS_MAX for entry in value):
            raise ValidationError(
                _("At most %(most)d characters per entry."), params={"most": ENTRY_CHARACTERS_MAX}
            )

    def run_validators(self, value: Any) -> None:
        super().run_validators(", ".join(value))


SCOPE_WORDS = {
    "read": _("Read everything"),
    "write": _("Write everything"),
    "tasks:read": _("Read tasks"),
    "tasks:write": _("Write tasks"),
    "projects:read": _("Read projects"),
    "projects:write": _("Write projects"),
    "models:read": _("Read models"),
    "models:write": _("Write models"),
}
LIFETIMES = [
    ("7d", _("7 days")),
    ("30d", _("30 days")),
    ("90d", _("90 days")),
    ("365d", _("one year")),
    ("", _("never")),
]

_SEPARATED = _("Separate with commas.")


_ORDER = [
    "first_name",
    "last_name",
    "email",
    "user_type",
    "skill_level",
    "company_name",
    "job_title",
    "location",
    "experience_years",
    "bio",
    "skills",
    "interests",
    "certifications",
    "education",
    "website",
    "linkedin_url",
    "github_url",
]
# The fields that are columns of the account, not part of its JSON.
_COLUMNS = [name for name in _ORDER if name not in empty_profile()]


class TokenForm(forms.Form):
    """A form for name, scopes and lifetime of a new API token."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("For example the program or device that uses it."),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Permissions"),
        choices=[(scope, SCOPE_WORDS[scope]) for scope in SCOPES],
        initial=[READ],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Write access includes read."),
    )
    lifetime = forms.ChoiceField(label=_("Expires after"), choices=LIFETIMES, initial="90d")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if _has_control(name):
            raise ValidationError(_("Control characters are not allowed."))
        return name

    def clean_lifetime(self) -> timedelta | None:
        text = self.cleaned_data["lifetime"]
        return lifetime_of(text) if text else None


class ProfileForm(FormOfUser):
    field_order = _ORDER

    skills = CommaList(label=_("Skills"), required=False, help_text=_SEPARATED)
    interests = CommaList(label=_("Interests"), required=False, help_text=_SEPARATED)
    certifications = CommaList(label=_("Certifications"), required=False, help_text=_SEPARATED)
    experience_years = forms.IntegerField(
        label=_("Years of experience"), required=False, min_value=0, max_value=100
    )
    education = forms.CharField(label=_("Education"), required=False, max_length=500)

    class Meta:
        model = User
        fields: ClassVar[list[str]] = _COLUMNS
        widgets: ClassVar[dict[str, forms.Widget]] = {
            "bio": forms.Textarea(attrs={"rows": 4}),
            **{
                name: forms.URLInput(attrs={"placeholder": "https://"})
                for name in ("website", "linkedin_url", "github_url")
            },
        }

    def __init__(self, data: QueryDict | None = None, *, instance: User) -> None:
        self._old_address = instance.email
        stored = instance.profile if isinstance(instance.profile, dict) else {}
        initial = {name: stored.get(name, value) for name, value in empty_profile().items()}
        super().__init__(data, instance=instance, initial=initial)
        for name in ("email", "bio", "skills", "interests", "certifications", "education"):
            self.fields[name].wide = True  # type: ignore[attr-defined]  # for forms/field.html
        # Only an account made without an address may stay without one.
        self.fields["email"].required = bool(instance.email)

    def clean_email(self) -> str:
        return User.objects.normalize_email(self.cleaned_data["email"])

    def clean_bio(self) -> str:
        bio: str = self.cleaned_data["bio"]
        return bio.replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name, value in list(cleaned.items()):
            if isinstance(value, str):
                value = cleaned[name] = normal(value)
            elif isinstance(value, list):
                value = cleaned[name] = [normal(entry) for entry in value]
            texts = value if isinstance(value, list) else [value]
            if any(isinstance(text, str) and _has_control(text) for text in texts):
                self.add_error(name, _("Control characters are not allowed."))
        return cleaned

    def save(self, commit: bool = True) -> User:
        """Save only the form's fields: another request may have changed the others meanwhile.

        If this server sends mail, a new address is not saved until it is proved.
        """
        user = super().save(commit=False)
        stored = user.profile if isinstance(user.profile, dict) else {}
        user.profile = stored | {name: self.cleaned_data[name] for name in empty_profile()}
        fields = [*self.Meta.fields, "profile"]
        if settings.NEURALFLOW_SENDS_MAIL:
            user.email = self._old_address
        elif "email" in self.changed_data:
            user.email_status = EmailStatus.CONTACT
            fields.append("email_status")
        if commit:
            user.save(update_fields=fields)
        return user


def _has_control(text: str) -> bool:
    return any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in text)
