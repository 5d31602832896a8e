"""The checklist of first steps on a new user's dashboard."""

from dataclasses import dataclass

from web.dashboard.summary import Summary
from workspace.sample_project import is_example


@dataclass(frozen=True)
class Steps:
    """The first steps that the user has completed."""

    task: bool
    project: bool
    model: bool
    example: bool  # True while the sample data exists
    readable: bool

    @property
    def is_new(self) -> bool:
        """True if the user has no records, so the dashboard has nothing else to show."""
        return self.readable and not (self.task or self.project or self.model)

    @property
    def are_told(self) -> bool:
        return self.readable and not (self.task and self.project and self.model)


def steps_of(summary: Summary) -> Steps:
    panels = (summary.tasks, summary.projects, summary.models)
    task, project, model = (bool(panel.records) for panel in panels)
    return Steps(
        task=task,
        project=project,
        model=model,
        example=any(map(is_example, summary.projects.records)),
        readable=not any(panel.fault for panel in panels),
    )
