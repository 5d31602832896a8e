from django.http import HttpResponse
from django.urls import path
from django.shortcuts import render
def home(request): return HttpResponse("home")
def page(request, *a, **k): return HttpResponse("page")
urlpatterns = [path("", home, name="home"), path("dashboard/", page, name="dashboard"), path("<str:c>/", page, name="record_list")]
