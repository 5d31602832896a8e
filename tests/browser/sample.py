"""People with something to show: for pictures of every page, and for whoever looks at all of them.

Run in the environment of a server (`python -m tests.browser.sample`), it makes the accounts and
their records, and prints what stands for {task} and its like in the addresses of pages.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

PERSON: Final = "ada"
PASSWORD: Final = "Owls-hunt-at-dusk"

_TASKS: Final[list[dict[str, Any]]] = [
    {"title": "Label the last 400 X-rays", "priority": "high", "days": -2, "tags": ["vision"]},
    {"title": "Train the baseline", "priority": "high", "days": 0, "tags": ["vision", "gpu"]},
    {"title": "Read the paper on calibration", "days": 1, "status": "in_progress"},
    {
        "title": "Write the model card",
        "description": "What it was trained on, what it is for, and what it must not be used for.",
        "days": 3,
        "status": "review",
    },
    {"title": "Ask the clinic for more negatives", "days": 5, "priority": "critical"},
    {"title": "Clean up old checkpoints", "priority": "low", "tags": ["housekeeping"]},
    {"title": "Agree on the split", "days": -6, "status": "completed"},
    {"title": "Choose a metric", "days": -9, "status": "completed", "priority": "high"},
]
_MODELS: Final[list[dict[str, Any]]] = [
    {
        "name": "X-ray baseline",
        "model_type": "computer_vision",
        "status": "active",
        "accuracy": 0.912,
        "training_data_size": 12_400,
        "hyperparameters": {"learning_rate": 0.0003, "batch_size": 32, "epochs": 20},
        "performance_metrics": {
            "loss": [1.31, 0.94, 0.71, 0.58, 0.49, 0.44, 0.41, 0.39, 0.38, 0.37],
            "auc": [0.71, 0.79, 0.84, 0.87, 0.89, 0.9, 0.91, 0.915, 0.917, 0.918],
            "f1": 0.87,
        },
    },
    {
        "name": "X-ray with augmentation",
        "model_type": "computer_vision",
        "status": "training",
        "accuracy": 0.927,
        "training_data_size": 24_800,
        "hyperparameters": {"learning_rate": 0.0003, "batch_size": 64, "epochs": 40},
        "performance_metrics": {
            "loss": [1.28, 0.9, 0.66, 0.52, 0.43, 0.37, 0.33, 0.31, 0.29, 0.28],
            "auc": [0.72, 0.81, 0.86, 0.89, 0.91, 0.92, 0.928, 0.931, 0.933, 0.934],
            "f1": 0.89,
        },
    },
    {"name": "Report summariser", "model_type": "llm", "status": "draft"},
]
_PROJECTS: Final[list[dict[str, Any]]] = [
    {
        "name": "Pneumonia on X-rays",
        "description": "A model that flags X-rays a radiologist should see first.",
        "priority": "high",
        "technologies": ["PyTorch", "MONAI"],
        "budget": 12_000,
    },
    {"name": "Reports in plain words", "status": "planning", "technologies": ["llama.cpp"]},
]


def make() -> dict[str, int]:
    """Makes people and records; returns what addresses name."""
    from accounts.models import SignUpInvitation, User
    from accounts.tokens import create_token
    from utils.json_storage import json_storage
    from workspace.membership.members import Memberships

    ada = User.objects.create_user(PERSON, "ada@example.com", PASSWORD, is_staff=True)
    grace = User.objects.create_user("grace", "grace@example.com", PASSWORD)
    memberships = Memberships(json_storage)
    projects = [_create("projects", ada.pk, record) for record in _PROJECTS]
    tasks = [
        _create("tasks", ada.pk, _due(record) | {"project_id": projects[0]}) for record in _TASKS
    ]
    models = [_create("models", ada.pk, record) for record in _MODELS]
    memberships.invite(ada.pk, projects[0], grace.username, "editor")
    memberships.accept(grace.pk, json_storage.list("shared", grace.pk)[-1]["id"])
    shared = _create("projects", grace.pk, {"name": "Compilers for everybody"})
    memberships.invite(grace.pk, shared, ada.username, "editor")
    memberships.accept(ada.pk, json_storage.list("shared", ada.pk)[-1]["id"])
    offered = _create("projects", grace.pk, {"name": "Debugging with moths"})
    memberships.invite(grace.pk, offered, ada.username, "viewer")
    invitation = json_storage.list("shared", ada.pk)[-1]["id"]
    handed = _create("projects", grace.pk, {"name": "Wordlists"})
    memberships.invite(grace.pk, handed, ada.username, "editor")
    offer = json_storage.list("shared", ada.pk)[-1]["id"]
    memberships.accept(ada.pk, offer)
    memberships.offer(grace.pk, handed, ada.pk)
    theirs = _create("tasks", grace.pk, {"title": "Draft the manual", "project_id": shared})
    sign_up = SignUpInvitation.objects.create(
        inviter=ada, digest="of the sample", expires_at=datetime.now(UTC) + timedelta(days=1)
    )
    # Names of addresses that only take posts name records that exist, but need not fit.
    return {
        "owner": grace.pk,
        "editor": grace.pk,
        "project": projects[0],
        "another_shared_project": projects[0],
        "offered_project": projects[0],
        "addressed_project": projects[0],
        "addressed": 1,
        "waiting": 1,
        "offer": offer,
        "shared_project": shared,
        "shared_task": theirs,
        "task": tasks[0],
        "model": models[0],
        "other_model": models[1],
        "invitation": invitation,
        "inviter": grace.pk,
        "token": create_token(ada, "Nightly training")[0].pk,
        "session": 1,
        "sign_up_invitation": sign_up.pk,
    }


def _create(collection: str, owner: int, data: dict[str, Any]) -> int:
    from utils.json_storage import json_storage
    from workspace.users.document import Activity

    name = data.get("title") or data["name"]
    told = Activity(f"{collection.removesuffix('s')}_created", f"Added {name}", {})
    return int(json_storage.create(collection, owner, data, activity=told)["id"])


def _due(task: dict[str, Any]) -> dict[str, Any]:
    """The task, due as many days from today as it says."""
    record = {name: value for name, value in task.items() if name != "days"}
    if "days" in task:
        day = datetime.now(UTC).date() + timedelta(days=task["days"])
        record["due_date"] = day.isoformat()
    return record


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(make()))
