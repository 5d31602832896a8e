"""The style guide for developers: every component in every state.

Available with NEURALFLOW_DEBUG only, and in English only.
"""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from web.labels import CHOICE_WORDS, TONES
from web.presenters import Bar, bars

_STATIC = Path(__file__).parent / "static"
_SHEET = _STATIC / "css/neuralflow.css"
_SPRITE = _STATIC / "img/icons.svg"


class DesignForm(forms.Form):
    """A form with a field of each kind."""

    line = forms.CharField(help_text="A help stands below its field.")
    empty = forms.CharField(required=False, widget=forms.TextInput({"placeholder": "Placeholder"}))
    faulty = forms.IntegerField(label="With a fault")
    disabled = forms.CharField(disabled=True, required=False)
    choice = forms.ChoiceField(choices=[("a", "One of"), ("b", "a few")])
    several = forms.ChoiceField(choices=[("a", "This"), ("b", "That")], widget=forms.RadioSelect)
    text = forms.CharField(widget=forms.Textarea, required=False)
    json = forms.CharField(widget=forms.Textarea({"class": "mono"}), label="JSON", required=False)
    flag = forms.BooleanField(label="Yes or no", required=False)


@require_safe
def design(request: HttpRequest) -> HttpResponse:
    """Show every component in every state, read from the current style sheet and sprite."""
    if not settings.DEBUG:
        raise Http404
    return render(request, "style_guide.html", _context())


def _context() -> dict[str, Any]:
    sheet = _SHEET.read_text()
    tokens = sheet.partition(":root {")[2].partition("\n}")[0]
    typed = {"line": "Typed", "faulty": "7.5", "choice": "b", "several": "a", "json": '{"lr": 3}'}
    return {
        "colours": re.findall(r"--([\w-]+): light-dark\(#", tokens),
        "types": re.findall(r"--(t-[\w-]+):", tokens),
        "spaces": re.findall(r"--(s\d):", tokens),
        "icons": re.findall(r'<symbol id="([\w-]+)"', _SPRITE.read_text()),
        "components": re.findall(r"^/\* ([a-z][\w -]*: .*?) ?\*/$", sheet, re.M),
        "choices": [(name, CHOICE_WORDS[name]) for name in TONES],
        "form": DesignForm(typed),
        "bars": [*bars({"pending": 5, "completed": 3}), Bar("None at all", 0, 0)],
        "steps": SimpleNamespace(
            task=True, project=False, model=False, is_new=False, are_told=True, example=False
        ),
    }
