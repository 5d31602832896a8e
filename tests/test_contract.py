"""The names that others build on: addresses, and what Python code calls."""

import inspect

import pytest
from django.urls import reverse

from utils.data_initializer import data_initializer
from utils.json_storage import JSONStorageManager, json_storage


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("home", "/"),
        ("signup", "/accounts/signup/"),
        ("login", "/accounts/login/"),
        ("logout", "/accounts/logout/"),
        ("profile", "/accounts/profile/"),
        ("dashboard", "/dashboard/"),
        ("admin:index", "/admin/"),
        ("api_tasks", "/accounts/api/tasks/"),
        ("api_projects", "/accounts/api/projects/"),
        ("api_models", "/accounts/api/models/"),
        ("api_dashboard", "/accounts/api/dashboard/"),
    ],
)
def test_addresses_have_these_names(name: str, address: str) -> None:
    assert reverse(name) == address


def test_records_of_the_api_have_names_too() -> None:
    assert reverse("api_task", args=[3]) == "/accounts/api/tasks/3/"
    assert reverse("api_project", args=[3]) == "/accounts/api/projects/3/"
    assert reverse("api_model", args=[3]) == "/accounts/api/models/3/"


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("save_user_data", ["user"]),
        ("save_task_data", ["user_id", "data"]),
        ("save_project_data", ["user_id", "data"]),
        ("save_model_data", ["user_id", "data"]),
        ("get_user_data", ["user_id"]),
        ("get_user_tasks", ["user_id"]),
        ("get_user_projects", ["user_id"]),
        ("get_user_models", ["user_id"]),
        ("update_user_activity", ["user_id", "type", "description", "metadata"]),
        ("create", ["collection", "owner", "data"]),
        ("get", ["collection", "owner", "record_id"]),
        ("list", ["collection", "owner"]),
        ("update", ["collection", "owner", "record_id", "changes"]),
        ("delete", ["collection", "owner", "record_id"]),
    ],
)
def test_the_manager_is_called_like_this(method: str, parameters: list[str]) -> None:
    assert isinstance(json_storage, JSONStorageManager)
    signature = inspect.signature(getattr(json_storage, method))
    positional = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    assert positional == parameters


@pytest.mark.parametrize(
    "method",
    [
        "initialize_data_structure",
        "sync_existing_users",
        "validate_data_integrity",
        "create_backup",
        "get_storage_stats",
    ],
)
def test_the_initializer_is_called_without_arguments(method: str) -> None:
    inspect.signature(getattr(data_initializer, method)).bind()
