"""The runs of all jobs of a TaskAPI, in a folder of this machine.

<folder>/<job>/run-<round>-<number>/       a round begins when an ended job is retried
"""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

from descent.deploy.jobs.running import Run

__all__ = ["Runs"]

NAME = re.compile(r"run-(\d+)-(\d+)")
LOOK_S = 0.1


class Runs:
    """By job, round and number."""

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, job: str, round: int, number: int) -> Run:
        """One run, whether it is there or not."""
        return Run(self.folder / job / f"run-{round}-{number}")

    def latest(self, job: str, round: int) -> tuple[Run | None, int]:
        """The last run of a job's round, and how many there were."""
        numbers = [number for found, number in self._of(job) if found == round]
        return (self.run(job, round, numbers[-1]), len(numbers)) if numbers else (None, 0)

    def logs(self, job: str) -> list[Path]:
        """What each run wrote, in order."""
        return [
            log
            for round, number in self._of(job)
            if (log := self.run(job, round, number).folder / "log.txt").exists()
        ]

    def jobs(self) -> list[str]:
        """Those that have runs here."""
        return [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []

    def report(self, job: str) -> None:
        """The store knows how they ended."""
        for round, number in self._of(job):
            if not (run := self.run(job, round, number)).alive():
                run.report()

    def stop(self, job: str, round: int) -> None:
        """Ask the last run for its end."""
        run, _ = self.latest(job, round)
        if run is not None:
            run.stop()

    async def forget(self, job: str | None = None) -> None:
        """End the runs of a job (of all) and remove them."""
        for id in self.jobs() if job is None else [job]:
            for round, number in self._of(id):
                run = self.run(id, round, number)
                run.stop()
                while run.alive():
                    await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(shutil.rmtree, self.folder / id, ignore_errors=True)

    def _of(self, job: str) -> list[tuple[int, int]]:
        """(round, number) of each run, in order."""
        names = [NAME.fullmatch(path.name) for path in (self.folder / job).glob("run-*")]
        return sorted((int(name[1]), int(name[2])) for name in names if name)
