"""One URL: GET lists the caller's tasks, POST adds one."""

from typing import Any

from django.db.models import QuerySet
from django.urls import path
from rest_framework import generics, serializers

from benchmarks.drf.models import Task


class TaskSerializer(serializers.ModelSerializer):
    user_id = serializers.ReadOnlyField()

    class Meta:
        model = Task
        exclude = ("user",)


class Tasks(generics.ListCreateAPIView):
    serializer_class = TaskSerializer

    def get_queryset(self) -> QuerySet[Task]:
        return Task.objects.filter(user=self.request.user)

    def perform_create(self, serializer: Any) -> None:
        serializer.save(user=self.request.user)


urlpatterns = [path("tasks/", Tasks.as_view())]
