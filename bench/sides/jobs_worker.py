"""A worker of the job store in a process of its own, made to be killed.

    python -m bench.sides.jobs_worker URL API JOB LOG LEASE_S [PAUSE_S]

Leases units, pauses (as work does) and commits them until the job has ended. Each commit that the
store accepted is a line "index fence" in LOG, written after the store's answer: an index twice
there, or one whose fence is not the stored result's, would be a unit committed twice.
"""

from __future__ import annotations

import asyncio
import os
import sys

from descent.deploy.jobs.store import Content, Database, Store

WORKERS, AT_ONCE = 4, 8


async def work(
    store: Store, api: str, job: str, log: int, lease_s: float, pause_s: float, name: str
) -> None:
    """Lease, commit, note down; until the job is over."""
    while True:
        leases = await store.lease(api, AT_ONCE, worker=name, lease_s=lease_s)
        await asyncio.sleep(pause_s if leases else 0)
        taken = await asyncio.gather(
            *(
                store.commit(lease, Content(f"{lease.index} {lease.fence}".encode()))
                for lease in leases
            )
        )
        lines = [f"{lease.index} {lease.fence}\n" for lease, ok in zip(leases, taken) if ok]
        os.write(log, "".join(lines).encode())
        if not leases:
            found = await store.job(job)
            if found is None or not found.open:
                return
            await store.wait(api, lease_s / 4)


async def main(url: str, api: str, job: str, log: str, lease_s: str, pause_s: str = "0") -> None:
    """Workers of one process."""
    store = Store(Database.open(url))
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    workers = (
        work(store, api, job, file, float(lease_s), float(pause_s), f"{os.getpid()}/{i}")
        for i in range(WORKERS)
    )
    await asyncio.gather(*workers)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
