"""The same task API in Django REST Framework, as its documentation advises.

It omits everything that it can do without: sessions, pages, counting calls, logging activities.
"""
