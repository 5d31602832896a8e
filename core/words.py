"""User-visible names of collections, fields, choices and activities.

A name without an entry is derived from the key, so old or unknown values are displayed, too.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

Text = str | Promise


@dataclass(frozen=True, kw_only=True)
class Words:
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
    "tasks": Words(
        icon="tasks",
        plural=_("Tasks"),
        lede=_("What is to be done, by when, and how urgent it is."),
        new=_("New task"),
        edit=_("Edit task"),
        delete=_("Delete this task?"),
        delete_warning=_("It leaves your tasks file."),
        untitled=_("Task without a title"),
        empty=_("No tasks yet"),
        empty_advice=_("Write down the next thing that needs doing; everything else can wait."),
        created=_("The task was added."),
        saved=_("The task was saved."),
        deleted=_("The task was deleted."),
    ),
    "projects": Words(
        icon="projects",
        plural=_("Projects"),
        lede=_("Work that takes more than one task."),
        new=_("New project"),
        edit=_("Edit project"),
        delete=_("Delete this project?"),
        delete_warning=_("Its tasks stay, and belong to no project afterwards."),
        untitled=_("Project without a name"),
        empty=_("No projects yet"),
        empty_advice=_("A project gathers tasks and shows how far they have come."),
        created=_("The project was added."),
        saved=_("The project was saved."),
        deleted=_("The project was deleted."),
    ),
    "models": Words(
        icon="models",
        plural=_("Models"),
        lede=_("The models you train, with their settings and how well they do."),
        new=_("New model"),
        edit=_("Edit model"),
        delete=_("Delete this model?"),
        delete_warning=_("Its entry leaves your models file; weights elsewhere stay."),
        untitled=_("Model without a name"),
        empty=_("No models yet"),
        empty_advice=_("Note a model's parameters and metrics once; find them again for ever."),
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
    "shared": _("What others share with you"),
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
    "model_type": _("Type of model"),
    "accuracy": _("Accuracy"),
    "training_data_size": _("Size of training data"),
    "parameters": _("Parameters"),
    "hyperparameters": _("Hyperparameters"),
    "performance_metrics": _("Performance metrics"),
    "is_public": _("Public"),
    "other_keys": _("Keys of your own"),
}

# Help texts on pages, in place of those that the table has for API clients.
FIELD_HINTS: dict[str, Text] = {
    "due_date": _("Without a time, until the end of the day."),
    "end_date": _("Not before the start."),
    "accuracy": _("In per cent, or up to 1 as a fraction: 93 or 0.93."),
    "training_data_size": _("Number of examples."),
    "time_zone": "",
    "assignee": _("The owner, or a member of the project that the task is saved in."),
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
    "login_failed": _("A log-in failed"),
    "logout": _("Logged out"),
    "profile_updated": _("Changed the profile"),
    "address_proved": _("Confirmed the e-mail address"),
    "address_lost": _("Somebody else confirmed your e-mail address"),
    "password_changed": _("Changed the password"),
    "password_reset": _("Reset the password"),
    "second_factor_on": _("Turned the two-factor log-in on"),
    "second_factor_off": _("Turned the two-factor log-in off"),
    "recovery_codes_made": _("Made recovery codes"),
    "sessions_ended": _("Logged out elsewhere"),
    "token_created": _("Made an API token"),
    "token_revoked": _("Revoked an API token"),
    "api_call": _("Read through the API"),
    "account_imported": _("Took in an archive"),
    "account_exported": _("Exported everything"),
    "task_created": _("Added a task"),
    "task_updated": _("Changed a task"),
    "task_completed": _("Completed a task"),
    "task_deleted": _("Deleted a task"),
    "project_created": _("Added a project"),
    "project_updated": _("Changed a project"),
    "project_deleted": _("Deleted a project"),
    "model_created": _("Added a model"),
    "model_updated": _("Changed a model"),
    "model_deleted": _("Deleted a model"),
    "tasks_changed": _("Changed many tasks"),
    "projects_changed": _("Changed many projects"),
    "models_changed": _("Changed many models"),
    "example_added": _("Added the example project"),
    "example_removed": _("Removed the example project"),
    "change_undone": _("Undid a change"),
    "member_invited": _("Invited somebody to a project"),
    "member_changed": _("Gave a member another role"),
    "member_removed": _("Took somebody out of a project"),
    "invitation_accepted": _("Accepted an invitation"),
    "invitation_declined": _("Declined an invitation"),
    "project_left": _("Left a project"),
    "project_offered": _("Offered a project to a member"),
    "offer_withdrawn": _("Withdrew the offer of a project"),
    "offer_refused": _("Declined to own a project"),
    "project_transferred": _("Handed a project over"),
    "project_received": _("Was given a project"),
}


def in_words(name: object, words: dict[str, Text]) -> Text:
    """Return the label of a key, or the key made readable."""
    text = str(name)
    return words.get(text) or capfirst(text.replace("_", " "))
