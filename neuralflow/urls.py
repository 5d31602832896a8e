"""Every address of NeuralFlow."""

from django.contrib import admin
from django.urls import include, path
from django.views import defaults

from accounts.api_http import problem_or_page

urlpatterns = [
    path("accounts/", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("", include("core.urls")),
]

handler400 = problem_or_page(defaults.bad_request)
handler403 = problem_or_page(defaults.permission_denied)
handler404 = problem_or_page(defaults.page_not_found)
handler500 = problem_or_page(defaults.server_error)
