"""The pages that the types of problems lead to: what each means and what to do, for everybody."""

import re

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from accounts.api.problems import PROBLEMS, REMEDIES


@require_safe
def problem_list(request: HttpRequest) -> HttpResponse:
    """All types, by status."""
    return render(request, "accounts/problems.html", {"problems": _problems()})


@require_safe
def problem_page(request: HttpRequest, slug: str) -> HttpResponse:
    """One type. Its address, without the last slash, is the `type` of a problem."""
    found = [problem for problem in _problems() if problem["slug"] == slug]
    if not found:
        raise Http404(f"there is no problem {slug}")
    return render(request, "accounts/problem.html", {"problem": found[0]})


def _problems() -> list[dict[str, object]]:
    kinds = {problem.slug: problem for problem in reversed(list(PROBLEMS.values()))}
    return [
        {
            "slug": problem.slug,
            "type": f"/problems/{problem.slug}",
            "status": problem.status,
            "title": problem.title,
            "remedy": _sentence(REMEDIES[problem.slug]),
        }
        for problem in sorted(kinds.values(), key=lambda kind: (kind.status, kind.slug))
    ]


def _sentence(text: str) -> SafeString:
    return marked_up(f"{text[:1].upper()}{text[1:]}.")


def marked_up(text: str) -> SafeString:
    """The text as HTML, with what stands in backticks as code."""
    parts = re.split("`([^`]*)`", text)
    codes = zip(parts[::2], [*parts[1::2], ""], strict=True)
    return format_html_join(
        "",
        "{}{}",
        ((words, format_html("<code>{}</code>", code) if code else "") for words, code in codes),
    )
