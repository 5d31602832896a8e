"""Due dates as pages show them: the day, and whether it has passed."""

from datetime import date, datetime

from workspace.tasks.due_index import day_of
from workspace.timestamps import is_date, parse_or_none


def due_of(due: object, now: datetime) -> tuple[date | None, bool, datetime | None]:
    """Return the day of a stored `due_date`, whether it is overdue, and its moment or None."""
    moment = parse_or_none(due)
    if moment is None:
        return None, False, None
    if is_date(str(due)):
        return moment.date(), moment.date() < now.date(), None
    return day_of(moment, now), moment <= now, moment
