"""Public pages that document the problem types of the API (RFC 9457) and their remedies."""

import re

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from api.problems import PROBLEMS, REMEDIES


@require_safe
def problem_list(request: HttpRequest) -> HttpResponse:
    """List all problem types, by status."""
    return render(request, "api/problems.html", {"problems": _problems()})


@require_safe
def problem_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a problem type. Its URL without the trailing slash is the `type` of a problem."""
    matches = [problem for problem in _problems() if problem["slug"] == slug]
    if not matches:
        raise Http404(f"there is no problem {slug}")
    return render(request, "api/problem.html", {"problem": matches[0]})


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
    """Return the text as HTML, with text in backticks as code."""
    parts = re.split("`([^`]*)`", text)
    codes = zip(parts[::2], [*parts[1::2], ""], strict=True)
    return format_html_join(
        "",
        "{}{}",
        ((words, format_html("<code>{}</code>", code) if code else "") for words, code in codes),
    )
