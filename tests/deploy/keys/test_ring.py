"""Keys on the way in: who is let through, by which header, how often; nothing secret is kept."""

import asyncio

import httpx
import pytest

from descent.deploy.errors import DeployError
from descent.deploy.gateway import Gateway, Limits, Route, Served
from descent.deploy.jobs.store import Database, Store
from descent.deploy.keys import KeyRing

TOKEN = "the node's token"


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": (scope["descent"].key or "nobody").encode()})


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


def told(folder, story, *, required=True):
    async def run():
        clock = Clock()
        store = Store(Database.open(f"sqlite:///{folder}/jobs.db"), now=clock)
        ring = KeyRing(store.keys, TOKEN, required=required)
        await ring.open()
        gateway = Gateway()
        gateway.guard = ring.guard
        for name, kind in (
            ("sorter", "RealtimeAPI"),
            ("other", "RealtimeAPI"),
            ("later", "AsyncAPI"),
        ):
            gateway.set_route(Route(name, kind, f"/{name}", Served(name, 1, hello, Limits())))
        transport = httpx.ASGITransport(gateway)
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as http:
            try:
                await story(ring, http, clock)
            finally:
                await ring.close()
                await store.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def test_only_who_may_gets_in(tmp_path):
    async def story(ring, http, clock):
        made = await ring.create("ada", ["predict:sorter"])
        none = await http.post("/sorter")
        assert (none.status_code, none.headers["www-authenticate"]) == (401, "Bearer")
        assert none.json()["error"]["code"] == "unauthorised"
        assert (await http.post("/sorter", headers=bearer("dsk_guessed"))).status_code == 401
        assert (await http.post("/sorter", headers=bearer(made.secret))).text == "ada"
        assert (await http.post("/sorter", headers={"x-api-key": made.secret})).text == "ada"
        other = await http.post("/other", headers=bearer(made.secret))
        assert other.status_code == 403
        assert "predict:other" in other.json()["error"]["message"]
        assert (await http.post("/later", headers=bearer(made.secret))).status_code == 403
        assert (await http.post("/other", headers=bearer(TOKEN))).text == "node"
        assert ring.requests == {("ada", "admitted"): 2, ("ada", "forbidden"): 2}

    told(tmp_path, story)


def test_without_the_need_other_systems_keys_are_passed_over(tmp_path):
    async def story(ring, http, clock):
        made = await ring.create("ada", ["predict:other"])
        assert (await http.post("/sorter")).text == "nobody"
        assert (await http.post("/sorter", headers=bearer("sk-of-openai"))).text == "nobody"
        assert (await http.post("/other", headers=bearer(made.secret))).text == "ada"
        assert (await http.post("/sorter", headers=bearer(made.secret))).status_code == 403

    told(tmp_path, story, required=False)


def test_a_rate_is_kept_and_told(tmp_path):
    async def story(ring, http, clock):
        made = await ring.create("ada", ["predict"], per_s=0.01, burst=2)
        answers = [await http.post("/sorter", headers=bearer(made.secret)) for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 429, 429]
        assert answers[2].json()["error"]["code"] == "rate_limited"
        assert 90 <= int(answers[2].headers["retry-after"]) <= 100

    told(tmp_path, story)


def test_keys_end(tmp_path):
    async def story(ring, http, clock):
        short = await ring.create("short", ["predict"], expires_s=60)
        long = await ring.create("long", ["predict"])
        assert (await http.post("/sorter", headers=bearer(short.secret))).status_code == 200
        clock.now += 61
        expired = await http.post("/sorter", headers=bearer(short.secret))
        assert (expired.status_code, "expired" in expired.text) == (401, True)
        assert await ring.revoke(long.key.id)
        assert not await ring.revoke(long.key.id)
        assert (await http.post("/sorter", headers=bearer(long.secret))).status_code == 401

    told(tmp_path, story)


def test_secrets_are_nowhere_and_keys_outlive_the_process(tmp_path):
    secrets = []

    async def first(ring, http, clock):
        secrets.append((await ring.create("ada", ["predict"], per_s=5)).secret)
        assert (await http.post("/sorter", headers=bearer(secrets[0]))).status_code == 200

    async def second(ring, http, clock):
        [key] = await ring.all()
        assert (key.name, key.used, key.rate["burst"]) == ("ada", 1_000_000.0, 10)
        assert (await http.post("/sorter", headers=bearer(secrets[0]))).text == "ada"

    told(tmp_path, first)
    told(tmp_path, second)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert secrets[0].encode() not in stored


def test_what_makes_no_sense_is_refused(tmp_path):
    async def story(ring, http, clock):
        for name, given in (
            ("", {}), ("a\nb", {}), ("a", {"per_s": 0}), ("a", {"per_s": float("nan")}),
            ("a", {"burst": 3}), ("a", {"expires_s": -1}), ("a", {"per_s": 1, "burst": -2}),
        ):  # fmt: skip
            with pytest.raises(DeployError):
                await ring.create(name, ["predict"], **given)
        assert await ring.all() == []

    told(tmp_path, story)
