"""APIs of many shapes behind a real gateway on a real socket, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from descent.deploy.control.openapi import document as control_document
from descent.deploy.gateway import Gateway, Limits, Route, Served
from descent.deploy.gateway.server import config
from descent.deploy.jobs.api import JobApi
from descent.deploy.jobs.results import Files
from descent.deploy.jobs.store import Database, Store
from descent.deploy.pool import Start
from descent.deploy.pools.local import LocalBackend
from descent.deploy.service.faces import Faces
from descent.deploy.spec import spec_of

__all__ = ["SERVICES", "site"]

SERVICES = '''
"""Services with inputs and outputs of every shape."""
from __future__ import annotations
import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Literal
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import BaseModel, Field
from descent.deploy.service.base import endpoint

@dataclass
class House:
    """A place to live in."""
    rooms: Annotated[int, Field(ge=1, le=50)]
    kind: Literal["flat", "house"] = "flat"
    area_m2: Annotated[float, Field(gt=0, le=1e6)] = 50.0
    garden: bool = False
    notes: list[str] = field(default_factory=list)
    built: int | None = None

class Price(BaseModel):
    euros: float
    low: float
    high: float

class Pricer:
    """Prices a house."""
    examples = [{"rooms": 3, "kind": "house", "area_m2": 120.0}, {"rooms": 1}]
    def predict(self, house: House) -> Price:
        euros = 1000.0 * house.area_m2 + 5000 * house.rooms
        return Price(euros=euros, low=euros * 0.9, high=euros * 1.1)
    @endpoint("/cheapest")
    def cheapest(self, houses: list[House]) -> int | None:
        """The position of the cheapest."""
        prices = [self.predict(house).euros for house in houses]
        return prices.index(min(prices)) if prices else None
    @endpoint("/kinds", methods=["GET"])
    def kinds(self) -> list[str]:
        return ["flat", "house"]

def repeat(text: str, times: Annotated[int, Field(ge=0, le=20)] = 2) -> str:
    """Says it again."""
    return text * times

class Mood:
    """How a text sounds."""
    examples = ["what a lovely day"]
    def predict(self, text: str) -> dict[str, float]:
        good = (1 + text.count("l")) / (2 + len(text))
        return {"happy": good, "sad": 1 - good}

class Speaker:
    examples = ["one two three four"]
    async def predict(self, text: str) -> AsyncIterator[str]:
        for word in text.split(" ")[:100]:
            yield word + " "
            await asyncio.sleep(0.001)

class Negative:
    def predict(self, picture: Image.Image) -> Image.Image:
        return ImageOps.invert(picture.convert("RGB"))

class Scale:
    examples = [[[1, 2], [3, 4]]]
    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2 * x

class Bytes:
    def predict(self, data: bytes) -> bytes:
        return data[::-1]

class Anything:
    def predict(self, value):
        return {"given": value}

class Failing:
    """Fails on odd numbers."""
    def predict(self, n: int) -> int:
        if n % 2:
            raise RuntimeError("odd")
        return n // 2
'''
TARGETS = {
    "pricer": "Pricer", "repeat": "repeat", "mood": "Mood", "speaker": "Speaker",
    "negative": "Negative", "scale": "Scale", "bytes": "Bytes", "anything": "Anything",
    "failing": "Failing",
}  # fmt: skip


class Site:
    """The APIs, made in the server's own loop."""

    def __init__(self, folder: Path, more: dict[str, str]) -> None:
        (folder / "services.py").write_text(SERVICES, encoding="utf-8")
        self.folder = folder
        self.specs = [
            spec_of(f"{folder}/services.py:{cls}", name=name, max_concurrency=4)
            for name, cls in TARGETS.items()
        ]
        self.specs += [
            spec_of(target, name=name, max_concurrency=16) for name, target in more.items()
        ]
        for kind, name in [("AsyncAPI", "later"), ("BatchAPI", "many")]:
            target = f"{folder}/services.py:Anything"
            self.specs.append(spec_of(target, name=name, kind=kind, attempts=1))
        self.gateway = Gateway()
        self.signatures: dict[str, Any] = {}
        self.logged: list[dict[str, Any]] = []
        self._closing: list[Any] = []
        faces = Faces(
            lambda: list(self.gateway.routes.by_name.values()),
            lambda route: self.signatures.get(route.name),
            control=control_document(),
        )
        self.gateway.face = faces.of
        self.gateway.mounts["/openapi.json"] = faces.node
        self.gateway.on_start.append(self.start)
        self.gateway.on_stop.append(self.stop)

    def log(self, line: str, **fields: Any) -> None:
        self.logged.append({"message": line, **fields})

    async def start(self) -> None:
        backend = LocalBackend()
        self._closing.append(backend.close)
        store = Store(Database.open(f"sqlite:///{self.folder / 'jobs.db'}"))
        files = Files(str(self.folder / "results"))
        for spec in self.specs:
            pool = await backend.start(Start(spec, 1, self.folder, self.log))
            self.signatures[spec.name] = pool.signature
            app: Any = pool.app
            if spec.kind != "RealtimeAPI":
                jobs = JobApi(spec, store, files, self.log)
                jobs.use(pool, spec, 1)
                await jobs.start()
                self._closing.insert(0, lambda jobs=jobs: jobs.close(1.0))
                app = jobs.app
            limits = Limits(max_concurrency=16, max_queue_length=1000, timeout_s=30)
            served = Served(spec.name, 1, app, limits, pool.signature)
            self.gateway.set_route(Route(spec.name, spec.kind, f"/{spec.name}", served))
        self._closing.append(store.close)

    async def stop(self) -> None:
        for close in self._closing:
            await close()


@contextlib.contextmanager
def site(folder: Path, **more: str) -> Iterator[str]:
    """Serves until the end of the block; yields the address. `more`: further APIs by name."""
    made = Site(folder, more)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = uvicorn.Server(config(made.gateway, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])), daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server ended before it answered"
            thread.join(0.005)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        sock.close()
