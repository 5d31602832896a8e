"""Home, the dashboard, and the pages of the collections."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
