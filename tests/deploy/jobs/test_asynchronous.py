import asyncio
import json

import pytest

from descent.deploy.jobs.housekeeping import EXPIRE_EVERY, Housekeeping
from descent.deploy.jobs.progress import report
from descent.deploy.jobs.store import StoreFull, StoreUnavailable
from descent.deploy.spec import AsyncSpec
from tests.deploy.jobs.nodes import in_loop, node
from tests.deploy.jobs.test_webhooks import Receiver

SPEC = AsyncSpec(name="sorter", service="x.py:X", retry_backoff_s=0.01)


def double(call):
    return call.value * 2


@in_loop
async def test_accepted_then_answered(tmp_path):
    async with node(tmp_path, SPEC, double) as n:
        answer = await n("POST", "", 21)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        (id,) = json.loads(answer.body).values()
        assert answer.headers["location"] == f"/sorter/{id}"
        said = await n.json("GET", f"/{id}", query="wait=10")
        assert said["status"] == "completed"
        assert said["result"] == 42
        assert said["attempts"] == 1
        assert said["created"] <= said["started"] <= said["ended"] == said["timestamp"]
        assert n.pool.calls[0].headers["x-cortex-request-id"] == id
        assert n.pool.calls[0].headers["x-descent-attempt"] == "1"
        assert "error" not in said


@in_loop
async def test_ways_to_be_answered(tmp_path):
    async with node(tmp_path, SPEC, double) as n:
        assert (await n("POST", "", 1, prefer="respond-async")).status == 202
        said = await n.json("POST", "", 4, prefer="wait=10")
        assert (said["status"], said["result"]) == ("completed", 8)
        n.pool.state = "Creating"  # no replica: nothing is begun
        said = await n.json("POST", "", 4, prefer="wait=0", status=202)
        assert said["status"] == "in_queue"
        n.pool.state = "Ready"
        assert (await n.json("GET", f"/{said['id']}", query="wait=10"))["result"] == 8


@in_loop
async def test_the_request_reaches_the_service_as_it_was(tmp_path):
    async with node(tmp_path, SPEC, lambda call: (200, "image/png", bytes(range(256)))) as n:
        body = bytes(range(256)) * 1000  # larger than a row holds: a file
        answer = await n(
            "POST", "/deep/er", body, query="a=1&b=%20", content_type="image/x", x_mine="yes",
            authorization="Bearer secret", cookie="c=1", x_descent_attempt="99",
        )  # fmt: skip
        id = json.loads(answer.body)["id"]
        said = await n.json("GET", f"/{id}", query="wait=10")
        assert (said["status"], said["result_type"]) == ("completed", "image/png")
        assert "result" not in said
        assert said["result_url"] == f"/sorter/{id}/result"
        result = await n("GET", f"/{id}/result")
        assert (result.body, result.headers["content-type"]) == (bytes(range(256)), "image/png")
        (call,) = n.pool.calls
        assert (call.path, call.query, call.body) == ("/deep/er", "a=1&b=%20", body)
        assert (call.headers["content-type"], call.headers["x-mine"]) == ("image/x", "yes")
        assert not {"authorization", "cookie"} & set(call.headers)
        assert call.headers["x-descent-attempt"] == "1"
        await n("DELETE", f"/{id}")
        assert list((tmp_path / "results").rglob("*.part")) == []
        assert not any(path.is_file() for path in (tmp_path / "results").rglob("*"))


@in_loop
async def test_failures_are_tried_again_and_say_why(tmp_path):
    tries = []

    def flaky(call):
        tries.append(call.headers["x-descent-attempt"])
        if len(tries) < 3:
            raise RuntimeError("not yet")
        return "at last"

    async with node(tmp_path, SPEC, flaky) as n:
        said = await n.json("POST", "", 1, prefer="wait=10")
        assert (said["status"], said["result"], said["attempts"]) == ("completed", "at last", 3)
        assert tries == ["1", "2", "3"]
        assert [f["state"] for _, f in n.log] == ["queued", "queued"]


@in_loop
async def test_dead_letters_can_be_driven_again(tmp_path):
    broken = True

    def service(call):
        return (500, "text/plain", b"model is gone") if broken else "fine"

    async with node(tmp_path, SPEC, service) as n:
        said = await n.json("POST", "", 1, prefer="wait=10")
        assert (said["status"], said["attempts"]) == ("failed", 3)
        assert said["error"] == "answered 500: model is gone"
        letters = (await n.json("GET", "/dead-letters"))["dead_letters"]
        assert [(letter["id"], letter["attempts"]) for letter in letters] == [(said["id"], 3)]
        assert (await n.error(410, "GET", f"/{said['id']}/result"))["code"] == "no_result"
        broken = False
        assert await n.json("POST", "/dead-letters/redrive") == {"redriven": 1}
        again = await n.json("GET", f"/{said['id']}", query="wait=10")
        assert (again["status"], again["result"]) == ("completed", "fine")
        assert (await n.json("GET", "/dead-letters"))["dead_letters"] == []


@in_loop
async def test_what_is_refused_for_good_is_not_tried_again(tmp_path):
    error = json.dumps({"error": {"code": "bad", "message": "text is missing"}}).encode()
    async with node(tmp_path, SPEC, lambda call: (400, "application/json", error)) as n:
        said = await n.json("POST", "", 1, prefer="wait=10")
        assert (said["status"], said["attempts"]) == ("failed", 1)
        assert said["error"] == "answered 400: text is missing"
        n.pool.function = lambda call: 7
        again = await n.json("POST", f"/{said['id']}/retry")
        assert again["status"] in ("in_queue", "in_progress", "completed")
        assert (await n.json("GET", f"/{said['id']}", query="wait=10"))["result"] == 7


@in_loop
async def test_idempotency_keys(tmp_path):
    async with node(tmp_path, SPEC, double) as n:
        first = await n.json("POST", "", 21, idempotency_key="k1")
        assert await n.json("POST", "", 21, idempotency_key="k1") == first
        assert await n.json("POST", "", 21, idempotency_key="k2") != first
        error = await n.error(422, "POST", "", 22, idempotency_key="k1")
        none = [await n.json("POST", "", 21, idempotency_key="") for _ in range(2)]
        assert none[0] != none[1]  # an empty key is none
        long = await n.error(400, "POST", "", 21, idempotency_key="k" * 256)
        assert long["field"] == "Idempotency-Key"
        assert (error["code"], error["field"]) == ("idempotency_key_reused", "Idempotency-Key")
        assert first["id"] in error["message"]
        await n.json("GET", f"/{first['id']}", query="wait=10")
        assert len([call for call in n.pool.calls if call.value == 21]) <= 4
        assert await n.json("POST", "", 21, idempotency_key="k1") == first  # after its end, too


@in_loop
async def test_cancelling_stops_the_work(tmp_path):
    stopped = asyncio.Event()

    async def slow(call):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise

    async with node(tmp_path, SPEC, slow) as n:
        id = (await n.json("POST", "", 1))["id"]
        while not n.pool.calls:
            await asyncio.sleep(0.01)
        assert (await n.json("GET", f"/{id}"))["status"] == "in_progress"
        assert (await n.error(409, "GET", f"/{id}/result"))["code"] == "not_ended"
        assert await n.json("POST", f"/{id}/cancel") == {"message": f"cancelled {id}"}
        await asyncio.wait_for(stopped.wait(), 10)
        said = await n.json("GET", f"/{id}")
        assert (said["status"], said["error"]) == ("cancelled", "cancelled by the user")
        assert (await n.error(409, "POST", f"/{id}/cancel"))["code"] == "ended"
        assert await n.json("DELETE", f"/{id}") == {"message": f"removed {id}"}
        assert (await n.error(404, "GET", f"/{id}"))["message"] == f"id {id} not found"


@in_loop
async def test_a_slow_request_times_out_and_stops(tmp_path):
    spec = SPEC.model_copy(update={"timeout_s": 0.05, "attempts": 2})
    async with node(tmp_path, spec, lambda call: asyncio.sleep(60)) as n:
        said = await n.json("POST", "", 1, prefer="wait=10")
        assert (said["status"], said["attempts"]) == ("failed", 2)
        assert said["error"] == "took longer than timeout_s (0.05 s)"
        assert n.pool.now == 0


@in_loop
async def test_lists(tmp_path):
    async with node(tmp_path, SPEC, lambda call: call.value or (400, "text/plain", b"no")) as n:
        ids = [(await n.json("POST", "", i, prefer="wait=10"))["id"] for i in range(5)]
        page = await n.json("GET", "", query="limit=3")
        assert [row["id"] for row in page["requests"]] == ids[:1:-1]
        rest = await n.json("GET", "", query=f"limit=3&cursor={page['cursor']}")
        assert [row["id"] for row in rest["requests"]] == ids[1::-1]
        assert rest["cursor"] is None
        failed = await n.json("GET", "", query="status=failed")
        assert [row["id"] for row in failed["requests"]] == ids[:1]
        error = await n.error(400, "GET", "", query="status=done")
        assert (error["field"], "in_queue" in error["message"]) == ("status", True)


@in_loop
async def test_progress(tmp_path):
    seen = asyncio.Event()

    async def service(call):
        report({"page": 3})
        await seen.wait()
        return "ok"

    async with node(tmp_path, SPEC, service) as n:
        id = (await n.json("POST", "", 1))["id"]
        while (said := await n.json("GET", f"/{id}")).get("progress") is None:
            await asyncio.sleep(0.01)
        assert said["progress"] == {"page": 3}
        assert await n.json("POST", f"/{id}/progress", 0.75) == {"message": "noted"}
        assert (await n.json("GET", f"/{id}"))["progress"] == 0.75
        seen.set()
        await n.json("GET", f"/{id}", query="wait=10")
        assert (await n.error(409, "POST", f"/{id}/progress", 1))["code"] == "not_running"
        report("outside a job nothing happens")


@in_loop
async def test_at_most_max_concurrency_at_once(tmp_path):
    spec = SPEC.model_copy(update={"pod": SPEC.pod.model_copy(update={"max_concurrency": 3})})
    async with node(tmp_path, spec, lambda call: asyncio.sleep(0.02)) as n:
        ids = [(await n.json("POST", "", i))["id"] for i in range(12)]
        for id in ids:
            assert (await n.json("GET", f"/{id}", query="wait=10"))["status"] == "completed"
        assert n.pool.most == 3


@in_loop
async def test_a_full_queue_is_refused_with_a_time_to_come_again(tmp_path):
    async with node(tmp_path, SPEC, double) as n:
        n.api.kind.most_waiting = 2  # type: ignore[union-attr]
        n.pool.state = "Creating"
        await asyncio.sleep(0.1)  # a lease that was under way finds nothing
        for i in range(2):
            await n.json("POST", "", i)
        answer = await n("POST", "", 3)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert json.loads(answer.body)["error"]["code"] == "queue_full"


@in_loop
async def test_a_full_disk_is_refused_before_anything_is_accepted(tmp_path, monkeypatch):
    async with node(tmp_path, SPEC, double) as n:
        n.pool.state = "Creating"

        def full(key, data):
            raise StoreFull(f"no room for {len(data)} bytes")

        monkeypatch.setattr(n.api.room.files, "put", full)
        error = await n.error(507, "POST", "", b"x" * 100_000)
        assert error["code"] == "store_full"
        assert (await n.json("GET"))["requests"] == []
        await n.json("POST", "", 1)  # a small one needs no file


@in_loop
async def test_a_request_accepted_without_an_answer_keeps_its_file(tmp_path, monkeypatch):
    async with node(tmp_path, SPEC, lambda call: len(call.body)) as n:
        real = n.store.submit

        async def unheard(job, units):
            await real(job, units)
            raise StoreUnavailable("the connection was cut")

        n.pool.state = "Creating"
        monkeypatch.setattr(n.store, "submit", unheard)
        await n.error(503, "POST", "", b"x" * 100_000, idempotency_key="k")
        monkeypatch.undo()
        id = (await n.json("POST", "", b"x" * 100_000, idempotency_key="k"))["id"]
        n.pool.state = "Ready"
        said = await n.json("GET", f"/{id}", query="wait=10")
        assert (said["status"], said.get("result")) == ("completed", 100_000)


@in_loop
async def test_a_result_waits_for_room(tmp_path, monkeypatch):
    async with node(tmp_path, SPEC, lambda call: "x" * 100_000) as n:
        real, refused = n.api.room.files.put, []

        def full_once(key, data):
            if not refused:
                refused.append(key)
                raise StoreFull("no room")
            real(key, data)

        monkeypatch.setattr(n.api.room.files, "put", full_once)
        said = await n.json("POST", "", 1, prefer="wait=10")
        assert (said["status"], said["attempts"], len(refused)) == ("completed", 1, 1)
        assert len(n.pool.calls) == 1  # the work was not done again


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "", 405),
        ("GET", "/nothing", 404),
        ("GET", "/0123456789abcdef0123", 404),
        ("DELETE", "/0123456789abcdef0123", 404),
        ("GET", "/a/b/c", 405),
        ("POST", "/dead-letters", 405),
        ("HEAD", "", 200),
    ],
)
@in_loop
async def test_paths_that_are_not_there(tmp_path, method, path, status):
    async with node(tmp_path, SPEC, double) as n:
        assert (await n(method, path)).status == status


@in_loop
async def test_webhook(tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", "key")
    with Receiver(503) as receiver:  # refused once, then taken
        hook = {"url": receiver.url, "secret_env": "HOOK_SECRET"}
        spec = AsyncSpec(name="sorter", service="x.py:X", webhook=hook)  # type: ignore[arg-type]
        async with node(tmp_path, spec, double) as n:
            said = await n.json("POST", "", 21, prefer="wait=10")
            while len(receiver.received) < 2:
                await asyncio.sleep(0.05)
            events = (await n.store.events.list(job=said["id"])).items
            while events[0].state != "done":
                await asyncio.sleep(0.05)
                events = (await n.store.events.list(job=said["id"])).items
    (first, _), (second, body) = receiver.received
    assert first["webhook-id"] == second["webhook-id"] == events[0].id
    told = json.loads(body)
    assert told["type"] == "async.completed"
    assert (told["data"]["id"], told["data"]["result"]) == (said["id"], 42)
    assert (told["data"]["api_name"], events[0].attempt) == ("sorter", 2)


@in_loop
async def test_time_to_live(tmp_path):
    spec = SPEC.model_copy(update={"ttl_s": 0.01})
    async with node(tmp_path, spec, lambda call: "x" * 100_000) as n:
        said = await n.json("POST", "", 1, prefer="wait=10")
        assert any(path.is_file() for path in (tmp_path / "results").rglob("*"))
        await asyncio.sleep(0.02)
        assert await n.api._housekeeping.expire() == 1  # type: ignore[union-attr]
        assert (await n("GET", f"/{said['id']}")).status == 404
        assert not any(path.is_file() for path in (tmp_path / "results").rglob("*"))


@in_loop
async def test_all_whose_time_is_over_go_in_one_round(tmp_path, monkeypatch):
    monkeypatch.setattr("descent.deploy.jobs.housekeeping.SWEEP_S", 0.0)
    spec = SPEC.model_copy(update={"ttl_s": 0.0})
    async with node(tmp_path, spec, double) as n:
        await n.api._housekeeping.close()  # type: ignore[union-attr]
        await asyncio.gather(*(n.json("POST", "", i, prefer="wait=30") for i in range(250)))
        housekeeping = Housekeeping(n.store, n.api.room.files)
        for _ in range(EXPIRE_EVERY):
            await housekeeping._sweep()
        assert (await n.store.jobs("sorter")).items == []


@in_loop
async def test_files_of_a_request_that_was_never_accepted(tmp_path):
    async with node(tmp_path, SPEC, lambda call: "x" * 100_000) as n:
        said = await n.json("POST", "", 1, prefer="wait=10")
        n.api.room.files.put("sorter/0123456789abcdef0123/request", b"lost in a crash")
        housekeeping = n.api._housekeeping
        assert housekeeping is not None
        assert await housekeeping.remove_orphans() == 0  # it might be under way
        assert await housekeeping.remove_orphans(older_than_s=-1) == 1
        assert (await n("GET", f"/{said['id']}/result")).status == 200


@in_loop
async def test_an_update_takes_what_begins_and_leaves_what_has_begun(tmp_path):
    go = asyncio.Event()

    async def old(call):
        await go.wait()
        return "old"

    async with node(tmp_path, SPEC, old) as n:
        first = (await n.json("POST", "", 1))["id"]
        while not n.pool.calls:
            await asyncio.sleep(0.01)
        new = type(n.pool)(lambda call: "new")
        n.api.use(new, SPEC, 2)
        assert not await n.api.drained(n.pool, 0.05)
        go.set()
        assert await n.api.drained(n.pool, 10)
        assert (await n.json("GET", f"/{first}", query="wait=10"))["result"] == "old"
        assert (await n.json("POST", "", 2, prefer="wait=10"))["result"] == "new"


@in_loop
async def test_those_who_wait_are_answered_when_the_node_leaves(tmp_path):
    async with node(tmp_path, SPEC, lambda call: asyncio.sleep(60)) as n:
        waiting = asyncio.create_task(n.json("POST", "", 1, prefer="wait=50", status=202))
        while not n.pool.calls:
            await asyncio.sleep(0.01)
        n.api.leave()
        said = await asyncio.wait_for(waiting, 5)
        assert said["status"] == "in_progress"


@in_loop
async def test_a_node_that_leaves_gives_back_what_it_cannot_finish(tmp_path):
    async with node(tmp_path, SPEC, lambda call: asyncio.sleep(60)) as n:
        id = (await n.json("POST", "", 1))["id"]
        while not n.pool.calls:
            await asyncio.sleep(0.01)
    async with node(tmp_path, SPEC, double) as n:
        said = await n.json("GET", f"/{id}", query="wait=10")
        assert (said["status"], said["result"]) == ("completed", 2)
        assert said["attempts"] == 1  # the one that was given back is not counted
