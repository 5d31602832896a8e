"""Every address of NeuralFlow."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("accounts/", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("", include("core.urls")),
]

# django-allauth answers with this past its limits.
handler429 = "accounts.views.too_many_requests"
