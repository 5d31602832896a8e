"""The table of collections: the single definition of all records, field by field.

Validation (`records`), storage (`CollectionSpec.layout`), schemas and forms derive from it. A new
field is a new line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from docstore import CollectionLayout
from workspace.bounds import RECORD_BYTES_MAX
from workspace.schema.fields import Field, Kind

Record = dict[str, Any]


@dataclass(frozen=True)
class CollectionSpec:
    """A collection: the names of its records, its files, and its fields."""

    name: str
    singular: str
    layout: CollectionLayout
    title_field: str
    fields: tuple[Field, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        return MappingProxyType({field.name: field for field in self.fields})

    @cached_property
    def writable(self) -> tuple[Field, ...]:
        """The fields that users may set, in order."""
        return tuple(field for field in self.fields if not field.read_only)

    @cached_property
    def stamps(self) -> frozenset[str]:
        """The names of the timestamps that NeuralFlow sets."""
        return frozenset(f.name for f in self.fields if f.kind is Kind.TIME and f.read_only)

    def defaults(self) -> Record:
        """Return a new record of defaults, in order."""
        return {field.name: field.fresh_default() for field in self.fields}

    def ordered(self, record: Record) -> Record:
        """Return `record` with the table's keys first, in its order, then unknown keys."""
        known = {name: record[name] for name in self.by_name if name in record}
        return known | record


# Field(name, kind, default). The order is that of the keys in the files.

_PRIORITIES = ("low", "medium", "high", "critical")
_TASK_STATUSES = ("pending", "in_progress", "review", "completed")
_PROJECT_STATUSES = ("active", "planning", "on_hold", "completed", "archived")
_MODEL_STATUSES = ("draft", "training", "active", "archived")
_MODEL_TYPES = (
    "classification",
    "regression",
    "clustering",
    "nlp",
    "computer_vision",
    "generative",
    "llm",
    "embedding",
    "reinforcement",
    "time_series",
    "recommendation",
    "other",
)

PLACES_END = 10**12  # limit of board positions, in both directions

_ID = Field("id", Kind.ID, read_only=True)
_CREATED = Field("created_at", Kind.TIME, read_only=True)
_UPDATED = Field("updated_at", Kind.TIME, read_only=True)
_COMPLETED = Field("completed_at", Kind.TIME, read_only=True)
_OWNER = Field("user_id", Kind.REFERENCE, refers_to="users", read_only=True)


def _layout_of(name: str) -> CollectionLayout:
    """Return the layout of a collection whose records users write."""
    return CollectionLayout(name, name, name, record_bytes_max=RECORD_BYTES_MAX)


_TASKS = CollectionSpec(
    name="tasks",
    singular="task",
    layout=_layout_of("tasks"),
    title_field="title",
    fields=(
        Field("title", Kind.TITLE),
        Field("description", Kind.TEXT, ""),
        Field("priority", Kind.CHOICE, "medium", choices=_PRIORITIES),
        Field("status", Kind.CHOICE, "pending", choices=_TASK_STATUSES),
        Field("category", Kind.LINE, ""),
        Field("due_date", Kind.TIME, help="A date is due when its day has ended, in UTC."),
        Field("repeat", Kind.REPEAT, "", came_later=True),
        Field(
            "time_zone",
            Kind.TIME_ZONE,
            "",
            came_later=True,
            help="Of a task that repeats: on the clocks of this zone its next days are counted.",
        ),
        Field("checklist", Kind.CHECKLIST, [], came_later=True),
        Field("tags", Kind.TEXTS, []),
        Field("project_id", Kind.REFERENCE, refers_to="projects"),
        Field("assignee", Kind.REFERENCE, refers_to="users", came_later=True),
        Field(
            "position",
            Kind.NUMBER,
            minimum=-PLACES_END,
            maximum=PLACES_END,
            came_later=True,
            on_forms=False,
            help="Where it stands on the board: greater is higher; null is by its id.",
        ),
        Field("metadata", Kind.OBJECT, {}),
        _ID,
        _CREATED,
        _UPDATED,
        _COMPLETED,
        _OWNER,
    ),
)

_PROJECTS = CollectionSpec(
    name="projects",
    singular="project",
    layout=_layout_of("projects"),
    title_field="name",
    fields=(
        Field("name", Kind.TITLE),
        Field("description", Kind.TEXT, ""),
        Field("status", Kind.CHOICE, "active", choices=_PROJECT_STATUSES),
        Field("priority", Kind.CHOICE, "medium", choices=_PRIORITIES),
        Field("start_date", Kind.TIME),
        Field("end_date", Kind.TIME, help="Not before the start."),
        Field("team_members", Kind.MEMBERS, []),
        Field("technologies", Kind.TEXTS, []),
        Field("budget", Kind.NUMBER, minimum=0),
        Field("metadata", Kind.OBJECT, {}),
        _ID,
        _CREATED,
        _UPDATED,
        _OWNER,
    ),
)

_MODELS = CollectionSpec(
    name="models",
    singular="model",
    layout=_layout_of("models"),
    title_field="name",
    fields=(
        Field("name", Kind.TITLE),
        Field("description", Kind.TEXT, ""),
        Field("model_type", Kind.OPEN_CHOICE, "classification", choices=_MODEL_TYPES),
        Field("status", Kind.CHOICE, "draft", choices=_MODEL_STATUSES),
        Field("accuracy", Kind.NUMBER, minimum=0, maximum=100, help="Such as 0.93, or 93."),
        Field("training_data_size", Kind.INTEGER, minimum=0, help="Number of examples."),
        Field("parameters", Kind.OBJECT, {}),
        Field("hyperparameters", Kind.OBJECT, {}),
        Field("performance_metrics", Kind.OBJECT, {}),
        Field("is_public", Kind.BOOLEAN, False, on_forms=False),
        Field("project_id", Kind.REFERENCE, refers_to="projects", came_later=True),
        Field("metadata", Kind.OBJECT, {}),
        _ID,
        _CREATED,
        _UPDATED,
        _OWNER,
    ),
)

_PROFILE: Record = {
    "skills": [],
    "interests": [],
    "experience_years": None,
    "education": "",
    "certifications": [],
}

# A user document is one record. Its list holds the activities.
_USERS = CollectionSpec(
    name="users",
    singular="user",
    layout=CollectionLayout(name="users", stem="user", records="activities"),
    title_field="username",
    fields=(
        Field("user_id", Kind.ID, read_only=True),
        Field("username", Kind.LINE, ""),
        Field("email", Kind.LINE, ""),
        Field("first_name", Kind.LINE, ""),
        Field("last_name", Kind.LINE, ""),
        Field(
            "user_type",
            Kind.CHOICE,
            "individual",
            choices=("individual", "business", "enterprise"),
        ),
        Field(
            "skill_level",
            Kind.CHOICE,
            "beginner",
            choices=("beginner", "intermediate", "advanced", "expert"),
        ),
        Field("subscription_plan", Kind.LINE, "free"),
        Field("api_calls_limit", Kind.INTEGER, 1000, minimum=0, read_only=True),
        Field("api_calls_used", Kind.INTEGER, 0, minimum=0, read_only=True),
        Field("group_id", Kind.INTEGER),
        Field("company_name", Kind.LINE, ""),
        Field("job_title", Kind.LINE, ""),
        Field("bio", Kind.TEXT, ""),
        Field("location", Kind.LINE, ""),
        Field("website", Kind.LINE, ""),
        Field("linkedin_url", Kind.LINE, ""),
        Field("github_url", Kind.LINE, ""),
        Field("is_profile_public", Kind.BOOLEAN, False),
        Field("receive_notifications", Kind.BOOLEAN, True),
        Field("last_login", Kind.TIME, read_only=True),
        Field("profile", Kind.OBJECT, _PROFILE),
        Field("preferences", Kind.OBJECT, {}, came_later=True),
        Field("date_joined", Kind.TIME, read_only=True),
        _UPDATED,
        Field("activities", Kind.OBJECTS, [], read_only=True),
    ),
)

ROLES = ("viewer", "editor")
MEMBER_STATUSES = ("invited", "member")

ACTIVITY_FIELDS = (
    Field("type", Kind.TITLE),
    Field("description", Kind.TEXT, ""),
    Field("timestamp", Kind.TIME),
    Field("metadata", Kind.OBJECT, {}),
)

# A user's older activities, moved out of the user document: see `retention`.
_ACTIVITIES = CollectionSpec(
    name="activities",
    singular="activity",
    layout=CollectionLayout("activities", "activities", "activities", begun_later=True),
    title_field="type",
    fields=ACTIVITY_FIELDS,
)

# A user's memberships: an index of the member entries in other users' projects.
_SHARED = CollectionSpec(
    name="shared",
    singular="membership",
    layout=CollectionLayout("shared", "shared", "shared", begun_later=True),
    title_field="project_name",
    fields=(
        _ID,
        Field("owner", Kind.REFERENCE, refers_to="users", read_only=True),
        Field("owner_name", Kind.LINE, "", read_only=True),
        Field("project_id", Kind.REFERENCE, refers_to="projects", read_only=True),
        Field("project_name", Kind.LINE, "", read_only=True),
        Field("role", Kind.CHOICE, "viewer", choices=ROLES, read_only=True),
        Field("status", Kind.CHOICE, "invited", choices=MEMBER_STATUSES, read_only=True),
        Field("invited_by", Kind.REFERENCE, refers_to="users", read_only=True),
        Field("invited_at", Kind.TIME, read_only=True),
        Field("since", Kind.TIME, read_only=True),
        Field("offered_at", Kind.TIME, read_only=True),
    ),
)

# Responses stored by idempotency key: see `once`.
_REQUESTS = CollectionSpec(
    name="requests",
    singular="answer",
    layout=CollectionLayout("requests", "requests", "requests", begun_later=True),
    title_field="key",
    fields=(
        _ID,
        Field("key", Kind.LINE, "", read_only=True),
        Field("fingerprint", Kind.LINE, "", read_only=True),
        Field("at", Kind.TIME, read_only=True),
    ),
)

# The fields of a user's `preferences`. Only explicit choices are stored: see `preferences`.
PREFERENCE_FIELDS = (
    Field("language", Kind.CHOICE, "", choices=("", "en", "es")),
    Field("time_zone", Kind.LINE, ""),
    Field("theme", Kind.CHOICE, "system", choices=("system", "light", "dark")),
    Field("single_keys", Kind.BOOLEAN, True),
    Field("week_start", Kind.CHOICE, "monday", choices=("monday", "sunday", "saturday")),
    Field("views", Kind.OBJECTS, []),
)

COLLECTIONS: Mapping[str, CollectionSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (_USERS, _ACTIVITIES, _TASKS, _PROJECTS, _MODELS, _SHARED, _REQUESTS)
    }
)
RECORD_COLLECTIONS = ("tasks", "projects", "models")
# Collections that NeuralFlow maintains and users never write.
KEPT_COLLECTIONS = ("activities", "shared", "requests")
