"""Password rules (NIST SP 800-63B-4, section 3.1.1.2): length only, no character classes."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

SHORTEST, ADVISED, LONGEST = 8, 15, 1024  # characters


class LengthValidator:
    """A validator for `SHORTEST` to `LONGEST` characters. The maximum bounds the hashing cost."""

    def validate(self, password: str, user: object = None) -> None:
        if len(password) < SHORTEST:
            raise ValidationError(
                _("This password is too short. It must have at least %(least)d characters."),
                code="password_too_short",
                params={"least": SHORTEST},
            )
        if len(password) > LONGEST:
            raise ValidationError(
                _("At most %(most)d characters."),
                code="password_too_long",
                params={"most": LONGEST},
            )

    def get_help_text(self) -> str:
        return _(
            "At least %(least)d characters; %(advised)d or more is better. A few"
            " unrelated words work well; spaces are fine."
        ) % {"least": SHORTEST, "advised": ADVISED}
