"""The collections with their command-line options and list columns.

The server alone validates values. This module only names the options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Option:
    """An option of `add` and `edit`, and the field that it sets. `many` may be repeated."""

    name: str
    field: str
    help: str
    many: bool = False
    kind: str = "text"  # text, number, project, day, repeat, entries, items, yes or json


@dataclass(frozen=True)
class Resource:
    """A collection. `columns` are the fields that a list shows in addition to the id."""

    singular: str
    plural: str
    title: str
    columns: tuple[str, ...]
    options: tuple[Option, ...]
    filters: tuple[str, ...]
    done: str = ""  # the status that `done` sets
    fresh: str = ""  # the status that `reopen` sets


_DESCRIPTION: Final = Option("description", "description", "what it is about")
_STATUS: Final = Option("status", "status", "where it stands")
_PRIORITY: Final = Option("priority", "priority", "low, medium, high or critical")
_METADATA: Final = Option("metadata", "metadata", "anything of your own, as JSON", kind="json")

_TASK: Final = Resource(
    "task",
    "tasks",
    "title",
    ("status", "priority", "due_date", "project_id", "tags", "title"),
    (
        _DESCRIPTION,
        _PRIORITY,
        _STATUS,
        Option("due", "due_date", "next friday, 26 nov 17:00, 2026-11-30 or none", kind="day"),
        Option("repeat", "repeat", "weekly, every monday at 9, a rule or none", kind="repeat"),
        Option(
            "item",
            "checklist",
            "of its checklist; again for more, or none",
            many=True,
            kind="items",
        ),
        Option("project", "project_id", "the number or name of a project, or none", kind="project"),
        Option("assignee", "assignee", "the number of a member of the project", kind="number"),
        Option("category", "category", "a category"),
        Option("tag", "tags", "tags, with commas; or none", many=True, kind="entries"),
        _METADATA,
    ),
    ("status", "priority", "tags", "project_id", "category"),
    "completed",
    "pending",
)

_PROJECT: Final = Resource(
    "project",
    "projects",
    "name",
    ("status", "priority", "end_date", "name"),
    (
        _DESCRIPTION,
        _PRIORITY,
        _STATUS,
        Option("start", "start_date", "the first day", kind="day"),
        Option("end", "end_date", "the last day", kind="day"),
        Option(
            "technology",
            "technologies",
            "technologies, with commas; or none",
            many=True,
            kind="entries",
        ),
        Option("budget", "budget", "a number", kind="number"),
        _METADATA,
    ),
    ("status", "priority", "technologies"),
    "completed",
    "active",
)

_MODEL: Final = Resource(
    "model",
    "models",
    "name",
    ("status", "model_type", "accuracy", "name"),
    (
        _DESCRIPTION,
        _STATUS,
        Option("type", "model_type", "such as classification or llm"),
        Option("accuracy", "accuracy", "from 0 to 100", kind="number"),
        Option("examples", "training_data_size", "how many it was trained on", kind="number"),
        Option("public", "is_public", "whether others may know of it", kind="yes"),
        Option("parameters", "parameters", "as JSON", kind="json"),
        Option("hyperparameters", "hyperparameters", "as JSON", kind="json"),
        Option("metrics", "performance_metrics", "as JSON", kind="json"),
        _METADATA,
    ),
    ("status", "model_type"),
)

KINDS: Final = (_TASK, _PROJECT, _MODEL)
