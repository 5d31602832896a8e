"""The form for importing an archive."""

from django import forms
from django.core.validators import FileExtensionValidator
from django.utils.translation import gettext_lazy as _

MODES = [
    ("merge", _("Merge (newer version wins)")),
    ("replace", _("Replace everything (deletes what the archive does not contain)")),
]


class ImportForm(forms.Form):
    """A form for an archive and the options of its import."""

    archive = forms.FileField(
        label=_("Archive"),
        widget=forms.FileInput(attrs={"accept": ".zip,application/zip"}),
        validators=[FileExtensionValidator(["zip"])],
        help_text=_("An export, a backup or a NeuralFlow folder as a zip file."),
    )
    mode = forms.ChoiceField(
        label=_("Mode"), choices=MODES, initial="merge", widget=forms.RadioSelect
    )
    owner = forms.IntegerField(
        label=_("User number"),
        required=False,
        min_value=1,
        max_value=10**18 - 1,
        help_text=_("The number in the file names. Needed only if the archive has several users."),
    )
