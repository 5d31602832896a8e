"""A task with the same fields as in NeuralFlow."""

from typing import Any

from django.conf import settings
from django.db import models

from workspace.schema.collections import COLLECTIONS


def _choices(name: str) -> list[tuple[str, str]]:
    return [(choice, choice) for choice in COLLECTIONS["tasks"].by_name[name].choices]


def _nothing() -> list[Any]:
    return []


class Task(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="", max_length=50_000)
    priority = models.CharField(max_length=20, choices=_choices("priority"), default="medium")
    status = models.CharField(max_length=20, choices=_choices("status"), default="pending")
    category = models.CharField(max_length=200, blank=True, default="")
    due_date = models.DateField(null=True, blank=True)
    tags = models.JSONField(default=_nothing, blank=True)
    project_id = models.BigIntegerField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    completed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.title
