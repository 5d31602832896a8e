"""The root URL configuration."""

from django.contrib import admin
from django.urls import include, path
from django.views import defaults

from api.endpoint import problem_or_page
from api.problem_pages import problem_list, problem_page

urlpatterns = [
    path("accounts/", include("accounts.urls")),
    path("settings/", include("accounts.settings_urls")),
    path("admin/", admin.site.urls),
    path("problems/", problem_list, name="problems"),
    path("problems/<slug:slug>/", problem_page, name="problem"),
    path("", include("core.urls")),
    path("", include("web.urls")),
]

handler400 = problem_or_page(defaults.bad_request)
handler403 = problem_or_page(defaults.permission_denied)
handler404 = problem_or_page(defaults.page_not_found)
handler500 = problem_or_page(defaults.server_error)
# Used by django-allauth when its rate limits are exceeded.
handler429 = "accounts.views.too_many_requests"
