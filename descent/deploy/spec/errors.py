"""What is wrong with a spec, in sentences: field, value, and what would be right."""

from __future__ import annotations

from dataclasses import dataclass

from descent.deploy.errors import DeployError

__all__ = ["Problem", "SpecError"]


MOST_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `field` as in "pod.containers[0].image"; `line` counts from 1."""

    message: str
    api: str = ""
    field: str = ""
    line: int | None = None


class SpecError(DeployError):
    """A spec that says something impossible; the text has one line per problem."""

    def __init__(self, problems: Problem | list[Problem], where: str = ""):
        self.problems = [problems] if isinstance(problems, Problem) else problems
        lines = [_sentence(problem, where) for problem in self.problems[:MOST_SHOWN]]
        if len(self.problems) > MOST_SHOWN:
            lines.append(f"… and {len(self.problems) - MOST_SHOWN} more")
        super().__init__("\n".join(lines))

    @property
    def field(self) -> str:
        """The field of the first problem."""
        return self.problems[0].field


def _sentence(problem: Problem, where: str) -> str:
    place = where
    if problem.line is not None:
        place = f"{where}, line {problem.line}" if where else f"line {problem.line}"
    return f"{place}: {problem.message}" if place else problem.message
