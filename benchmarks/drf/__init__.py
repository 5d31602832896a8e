"""The same API of tasks in Django REST Framework, as its own documentation advises, without what it
could do without: no sessions, no pages, no counting of calls, no log of activities."""
