"""User-visible names of collections, fields, choices and activities.

A name without an entry is derived from the key, so old or unknown values are displayed, too.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

Text = str | Promise


@dataclass(frozen=True, kw_only=True)
class CollectionLabels:
    """All texts of the shared pages about a collection."""

    icon: str
    plural: Text
    lede: Text
    new: Text
    edit: Text
    delete: Text
    delete_warning: Text
    untitled: Text
    empty: Text
    empty_advice: Text
    created: Text
    saved: Text
    deleted: Text


WORDS = {
    "tasks": CollectionLabels(
        icon="tasks",
        plural=_("Tasks"),
        lede=_("Your tasks with due dates and priorities."),
        new=_("New task"),
        edit=_("Edit task"),
        delete=_("Delete this task?"),
        delete_warning=_("It is removed from your tasks file."),
        untitled=_("Untitled task"),
        empty=_("No tasks yet"),
        empty_advice=_("Add your next step."),
        created=_("The task was added."),
        saved=_("The task was saved."),
        deleted=_("The task was deleted."),
    ),
    "projects": CollectionLabels(
        icon="projects",
        plural=_("Projects"),
        lede=_("Your projects and their progress."),
        new=_("New project"),
        edit=_("Edit project"),
        delete=_("Delete this project?"),
        delete_warning=_("Its tasks stay, without a project."),
        untitled=_("Untitled project"),
        empty=_("No projects yet"),
        empty_advice=_("A project groups tasks and shows their progress."),
        created=_("The project was added."),
        saved=_("The project was saved."),
        deleted=_("The project was deleted."),
    ),
    "models": CollectionLabels(
        icon="models",
        plural=_("Models"),
        lede=_("Your models with their settings and metrics."),
        new=_("New model"),
        edit=_("Edit model"),
        delete=_("Delete this model?"),
        delete_warning=_("It is removed from your models file. Weights stored elsewhere stay."),
        untitled=_("Untitled model"),
        empty=_("No models yet"),
        empty_advice=_("Keep parameters and metrics in one place."),
        created=_("The model was added."),
        saved=_("The model was saved."),
        deleted=_("The model was deleted."),
    ),
}

# The contents of a user's own files.
FILE_WORDS: dict[str, Text] = {
    "users": _("Profile and activities"),
    "activities": _("Older activities"),
    "tasks": _("Tasks"),
    "projects": _("Projects"),
    "models": _("Models"),
    "shared": _("Shared with you"),
}

FIELD_WORDS: dict[str, Text] = {
    "title": _("Title"),
    "name": _("Name"),
    "description": _("Description"),
    "priority": _("Priority"),
    "status": _("Status"),
    "category": _("Category"),
    "due_date": _("Due"),
    "repeat": _("Repeats"),
    "time_zone": _("Time zone"),
    "checklist": _("Checklist"),
    "tags": _("Tags"),
    "project_id": _("Project"),
    "assignee": _("Assigned to"),
    "metadata": _("Metadata"),
    "start_date": _("Start"),
    "end_date": _("End"),
    "team_members": _("Team members"),
    "technologies": _("Technologies"),
    "budget": _("Budget"),
    "model_type": _("Model type"),
    "accuracy": _("Accuracy"),
    "training_data_size": _("Training examples"),
    "parameters": _("Parameters"),
    "hyperparameters": _("Hyperparameters"),
    "performance_metrics": _("Performance metrics"),
    "is_public": _("Public"),
    "other_keys": _("Custom keys"),
}

# Help texts on pages, in place of those that the table has for API clients.
FIELD_HINTS: dict[str, Text] = {
    "due_date": _("Without a time: end of the day."),
    "end_date": _("Must not be before the start date."),
    "accuracy": _("Percentage or fraction: 93 or 0.93."),
    "training_data_size": _("Number of examples."),
    "time_zone": "",
    "assignee": _("The owner or a member of the project."),
}

CHOICE_WORDS: dict[str, Text] = {
    "pending": _("Pending"),
    "in_progress": _("In progress"),
    "review": _("In review"),
    "completed": _("Completed"),
    "low": _("Low"),
    "medium": _("Medium"),
    "high": _("High"),
    "critical": _("Critical"),
    "active": _("Active"),
    "planning": _("Planning"),
    "on_hold": _("On hold"),
    "archived": _("Archived"),
    "draft": _("Draft"),
    "training": _("Training"),
    "classification": _("Classification"),
    "regression": _("Regression"),
    "nlp": _("NLP"),
    "other": _("Other"),
    "free": _("Free"),
    "owner": _("Owner"),
    "editor": _("Editor"),
    "viewer": _("Viewer"),
    "invited": _("Invited"),
}

# CSS classes of choices. Colour only repeats the meaning of the word, for accessibility.
TONES = {
    "in_progress": "tone-info",
    "training": "tone-info",
    "planning": "tone-info",
    "review": "tone-accent",
    "active": "tone-accent",
    "owner": "tone-accent",
    "editor": "tone-info",
    "invited": "tone-warn",
    "completed": "tone-good",
    "on_hold": "tone-warn",
    "high": "tone-warn",
    "critical": "tone-bad",
}

ACTIVITY_WORDS: dict[str, Text] = {
    "account_created": _("Signed up"),
    "login": _("Logged in"),
    "login_failed": _("Failed login"),
    "logout": _("Logged out"),
    "profile_updated": _("Changed the profile"),
    "address_proved": _("Confirmed the email address"),
    "address_lost": _("Somebody else confirmed your email address"),
    "password_changed": _("Changed the password"),
    "password_reset": _("Reset the password"),
    "second_factor_on": _("Turned on two-factor authentication"),
    "second_factor_off": _("Turned off two-factor authentication"),
    "recovery_codes_made": _("Created recovery codes"),
    "sessions_ended": _("Logged out another session"),
    "token_created": _("Created an API token"),
    "token_revoked": _("Revoked an API token"),
    "api_call": _("Read over the API"),
    "account_imported": _("Imported an archive"),
    "account_exported": _("Exported all data"),
    "account_invited": _("Invited somebody to sign up"),
    "task_created": _("Added a task"),
    "task_updated": _("Updated a task"),
    "task_completed": _("Completed a task"),
    "task_deleted": _("Deleted a task"),
    "project_created": _("Added a project"),
    "project_updated": _("Updated a project"),
    "project_deleted": _("Deleted a project"),
    "model_created": _("Added a model"),
    "model_updated": _("Updated a model"),
    "model_deleted": _("Deleted a model"),
    "tasks_changed": _("Updated several tasks"),
    "projects_changed": _("Updated several projects"),
    "models_changed": _("Updated several models"),
    "example_added": _("Added the example project"),
    "example_removed": _("Removed the example project"),
    "change_undone": _("Undid a change"),
    "member_invited": _("Invited someone to a project"),
    "member_changed": _("Changed a member's role"),
    "member_removed": _("Removed a member from a project"),
    "invitation_accepted": _("Accepted an invitation"),
    "invitation_declined": _("Declined an invitation"),
    "project_left": _("Left a project"),
    "project_offered": _("Offered a project to a member"),
    "offer_withdrawn": _("Withdrew the offer of a project"),
    "offer_refused": _("Declined to own a project"),
    "project_transferred": _("Transferred a project"),
    "project_received": _("Received a project"),
}


def in_words(name: object, words: dict[str, Text]) -> Text:
    """Return the label of a key, or the key made readable."""
    text = str(name)
    return words.get(text) or capfirst(text.replace("_", " "))
