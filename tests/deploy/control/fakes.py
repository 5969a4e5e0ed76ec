"""A backend without machinery: what a version does is told by its `config`."""

import asyncio
import json
from contextlib import asynccontextmanager

from descent.deploy.asking import ask
from descent.deploy.control.controlling import Controller
from descent.deploy.control.fronts import RealtimeFront
from descent.deploy.control.splitting import SplitFront
from descent.deploy.control.starting import Starter
from descent.deploy.gateway import Gateway
from descent.deploy.jobs.store import Database, Store
from descent.deploy.pool import Context, LoadError, Replica
from descent.deploy.spec import make_spec


class FakePool:
    """Answers its config's `says`; `hold_s`: how long an answer takes, `gate`: an Event before
    which none is given."""

    signature = None

    def __init__(self, start, pools):
        self.start, self.pools = start, pools
        self.closed = False
        self.inside = 0
        self.gate = None
        pools.append(self)

    async def app(self, scope, receive, send):
        assert not self.closed, "a request reached a pool that was closed"
        self.inside += 1
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(self.start.config.get("hold_s", 0))
        if self.gate is not None:
            await self.gate.wait()
        assert not self.closed, "a pool was closed with a request inside"
        self.inside -= 1
        body = json.dumps(self.start.config.get("says")).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def replicas(self):
        return [Replica("one", "Ready")]

    async def scale(self, replicas):
        raise NotImplementedError

    async def close(self, grace_s):
        self.closed = True


class FakeBackend:
    name = "local"

    def __init__(self):
        self.pools = []
        self.loading = 0
        self.most_loading = 0
        self.broken = {}  # name → message, whatever the spec says

    async def start(self, start):
        self.loading += 1
        self.most_loading = max(self.most_loading, self.loading)
        try:
            await asyncio.sleep(start.config.get("load_s", 0))
            if message := self.broken.get(start.spec.name, start.config.get("breaks")):
                raise LoadError(message)
            return FakePool(start, self.pools)
        finally:
            self.loading -= 1

    async def close(self):
        pass

    @property
    def open(self):
        return [pool for pool in self.pools if not pool.closed]


class Place:
    """A controller over a real store and gateway; may be restarted."""

    def __init__(self, folder, backend, store):
        self.folder, self.backend, self.store = folder, backend, store
        self.gateway = Gateway()
        starter = Starter({"local": backend}, folder / "logs")
        self.controller = Controller(
            folder / "versions", self.gateway, store.versions, starter, self.front, drain_s=5
        )

    def front(self, spec):
        if spec.kind == "TrafficSplitter":
            return SplitFront(self.gateway, spec, self.go_back)
        return RealtimeFront(self.gateway, spec)

    async def go_back(self, splitter, apis, why):
        await self.controller.change(splitter, "guard", lambda _: {"apis": apis}, reason=why)

    async def deploy(self, *specs, **options):
        return await self.controller.deploy(list(specs), "tests", None, **options)

    async def ask(self, path):
        answer = await ask(self.gateway, path, b"", context=Context("r"))
        return json.loads(answer.body) if answer.status == 200 else answer


@asynccontextmanager
async def place(folder, backend=None):
    store = Store(Database.open(f"sqlite:///{folder / 'jobs.db'}"))
    made = Place(folder, backend or FakeBackend(), store)
    try:
        yield made
    finally:
        await made.controller.close()
        await store.close()


async def until(true):
    """Looks again and again; `run` ends it after 30 s."""
    while not true():
        await asyncio.sleep(0.005)


def run(folder, story, backend=None):
    """Tell `story(place)` within 30 s."""

    async def told():
        async with place(folder, backend) as made:
            return await story(made)

    return asyncio.run(asyncio.wait_for(told(), 30))


def spec(name="a", **config):
    fields = {key: config.pop(key) for key in list(config) if key in ("networking", "pod")}
    return make_spec({"name": name, "kind": "RealtimeAPI", "service": "os:getcwd",
                      "config": config, **fields})  # fmt: skip


def splitter(name="s", guard=None, **shares):
    data = {"name": name, "kind": "TrafficSplitter", **({"guard": guard} if guard else {})}
    return make_spec({**data, "apis": [{"name": n, "weight": w} for n, w in shares.items()]})
