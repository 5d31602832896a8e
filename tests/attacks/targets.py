"""Which addresses take what an attack needs, as the rows say: bodies, forms, numbers."""

import re
from dataclasses import dataclass

from tests.attacks.routes import routes
from tests.attacks.rows import Row, row_of
from tests.attacks.world import OWNER, UNSAFE
from utils.middleware import API_PREFIX


@dataclass(frozen=True)
class Target:
    """A method of a route that the owner may call."""

    route: str
    row: Row
    method: str

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


def targets(*methods: str) -> list[Target]:
    """Every route with each of the methods that the owner may call there."""
    return [
        Target(route, row, method)
        for route in sorted(routes())
        if (row := row_of(route))
        for method in methods
        if row.shape[OWNER][method] not in ("405", "404", "403")
    ]


def of_the_api(target: Target) -> bool:
    return target.row.address.startswith(API_PREFIX)


def of_the_administration(target: Target) -> bool:
    return target.route.startswith("admin/")


def takes_json(target: Target) -> bool:
    return of_the_api(target) and target.method in target.row.sends


def takes_a_form(target: Target) -> bool:
    return not of_the_api(target) and not of_the_administration(target)


JSON_TARGETS = [target for target in targets(*UNSAFE) if takes_json(target)]
FORM_TARGETS = [target for target in targets("POST") if takes_a_form(target)]
NUMBERS = re.compile(
    r"\{(task|project|model|token|session|owner|editor|another_shared_project|shared_project"
    r"|shared_task|invitation|offered_project|addressed_project|waiting)\}"
)
NUMBERED = [target for target in targets("GET", *UNSAFE) if NUMBERS.search(target.row.address)]
