import asyncio
import base64
import json

import pytest

from descent.deploy.jobs.store import StoreUnavailable
from descent.deploy.spec import BatchSpec
from tests.deploy.jobs.nodes import in_loop, node
from tests.deploy.jobs.test_webhooks import Receiver

SPEC = BatchSpec(name="resizer", service="x.py:X", retry_backoff_s=0.01)


def service(call):
    """Doubles; refuses "bad", fails on "broken"."""
    if call.path == "/on-job-complete":
        return "thanks"
    if "bad" in call.value:
        return 400, "text/plain", b"no such picture"
    if "broken" in call.value:
        raise RuntimeError("out of paper")
    return [item * 2 for item in call.value]


def items(*values, size: int = 2, workers: int = 1, **fields):
    return {"workers": workers, "item_list": {"items": list(values), "batch_size": size}, **fields}


async def submit(n, body, **kwargs) -> str:
    return (await n.json("POST", "", body, **kwargs))["job_id"]


async def status(n, id: str, wait: int = 20):
    return await n.json("GET", "", query=f"jobID={id}&wait={wait}")


async def results(n, id: str, more: str = ""):
    answer = await n("GET", "/results", query=f"jobID={id}{more}")
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.splitlines()]


@in_loop
async def test_items_to_results(tmp_path):
    async with node(tmp_path, SPEC, service) as n:
        said = await n.json("POST", "", items(1, 2, 3, config={"size": 4}, timeout=60))
        id = said["job_id"]
        assert said == {
            "job_id": id,
            "api_name": "resizer",
            "kind": "BatchAPI",
            "workers": 1,
            "config": {"size": 4},
            "api_id": "resizer-1",
            "sqs_url": f"/resizer/dead-letters?jobID={id}",
            "sqs_dead_letter_queue": None,
            "timeout": 60,
            "created_time": said["created_time"],
        }
        told = await status(n, id)
        job = told["job_status"]
        assert (job["status"], job["batches_in_queue"], job["total_batch_count"]) == (
            "succeeded",
            0,
            2,
        )
        assert job["created_time"] <= job["start_time"] <= job["end_time"]
        assert "worker_counts" not in job  # only while it runs
        assert (told["endpoint"], told["api_spec"]["name"]) == ("/resizer", "resizer")
        assert (told["metrics"]["succeeded"], told["metrics"]["failed"]) == (2, 0)
        assert told["metrics"]["avg_time_per_batch"] > 0
        assert await results(n, id) == [
            {"batch": 0, "status": "succeeded", "result": [2, 4]},
            {"batch": 1, "status": "succeeded", "result": [6]},
        ]
        assert [r["result"] for r in await results(n, id, "&per=item")] == [2, 4, 6]
        assert [r["batch"] for r in await results(n, id, "&from=1")] == [1]
        assert (await n("GET", "/results/1", query=f"jobID={id}")).body == b"[6]"
        first = n.pool.calls[0]
        assert (first.path, first.value) == ("", [1, 2])
        assert first.headers["content-type"] == "application/json"
        assert first.headers["x-cortex-job-id"] == id
        assert first.headers["x-descent-unit"] == f"{id}/0"


@in_loop
async def test_on_job_complete_is_called_once(tmp_path):
    async with node(tmp_path, SPEC, service) as n:
        id = await submit(n, items(1, 2, 3, config={"a": 1}))
        await status(n, id)
        while not (events := (await n.store.events.list(job=id, state=["done"])).items):
            await asyncio.sleep(0.02)
        calls = [call for call in n.pool.calls if call.path == "/on-job-complete"]
        assert len(calls) == 1
        assert calls[0].headers["x-cortex-job-id"] == id
        assert (calls[0].value["job_id"], calls[0].value["config"]) == (id, {"a": 1})
        assert n.pool.calls[-1] is calls[0]  # after all batches
        assert len(events) == 1


@in_loop
async def test_a_service_without_on_job_complete_has_nothing_to_do(tmp_path):
    def plain(call):
        return (404, "text/plain", b"") if call.path == "/on-job-complete" else []

    async with node(tmp_path, SPEC, plain) as n:
        id = await submit(n, items(1))
        await status(n, id)
        while not (await n.store.events.list(job=id, state=["done"])).items:
            await asyncio.sleep(0.02)


@in_loop
async def test_failed_batches(tmp_path):
    async with node(tmp_path, SPEC, service) as n:
        id = await submit(n, items(1, "bad", "broken", 4, size=1))
        told = await status(n, id)
        job = told["job_status"]
        assert job["status"] == "completed_with_failures"
        assert job["reason"] == "2 of 4 failed, the first with: answered 400: no such picture"
        assert told["metrics"]["failed"] == 4  # attempts: one refusal, three tries
        lines = await results(n, id)
        assert [line["status"] for line in lines] == ["succeeded", "failed", "failed", "succeeded"]
        assert lines[2]["error"] == "RuntimeError: out of paper"
        letters = (await n.json("GET", "/dead-letters", query=f"jobID={id}"))["dead_letters"]
        assert [(d["batch"], d["items"], d["attempts"]) for d in letters] == [
            (1, ["bad"], 1),
            (2, ["broken"], 3),
        ]
        n.pool.function = lambda call: ["mended"]
        done = len(n.pool.calls)
        again = await n.json("POST", "/retry", query=f"jobID={id}")
        assert again["job_status"]["status"] == "running"
        assert (await status(n, id))["job_status"]["status"] == "succeeded"
        batches = [call.value for call in n.pool.calls[done:] if call.path == ""]
        assert sorted(batches) == [["bad"], ["broken"]]  # what had a result is not done again
        assert [line["result"] for line in await results(n, id)] == [
            [2],
            ["mended"],
            ["mended"],
            [8],
        ]


@pytest.mark.parametrize("fields", [
    {"attempts": 5},
    {"sqs_dead_letter_queue": {"arn": "arn:aws:sqs:us-west-2:1:f.fifo", "max_receive_count": 5}},
])  # fmt: skip
@in_loop
async def test_attempts_of_a_job(tmp_path, fields):
    async with node(tmp_path, SPEC, service) as n:
        id = await submit(n, items("broken", retry_backoff_s=0.001, **fields))
        await status(n, id)
        assert [call.headers["x-descent-attempt"] for call in n.pool.calls] == list("12345")


@in_loop
async def test_workers_are_as_many_as_asked_for_each_job(tmp_path):
    now: dict[str, int] = {}
    most: dict[str, int] = {}

    async def slow(call):
        job = call.headers["x-cortex-job-id"]
        now[job] = now.get(job, 0) + 1
        most[job] = max(most.get(job, 0), now[job])
        await asyncio.sleep(0.02)
        now[job] -= 1
        return []

    spec = SPEC.model_copy(update={"pod": SPEC.pod.model_copy(update={"max_concurrency": 8})})
    async with node(tmp_path, spec, slow) as n:
        one = await submit(n, items(*range(6), size=1, workers=1))
        three = await submit(n, items(*range(12), size=1, workers=3))
        while not (told := await status(n, three, 0))["job_status"].get("start_time"):
            await asyncio.sleep(0.01)
        counts = told["job_status"]["worker_counts"]
        assert set(counts) == {
            "pending",
            "initializing",
            "running",
            "succeeded",
            "failed",
            "stalled",
        }
        assert sum(counts.values()) == 3
        await status(n, one)
        await status(n, three)
        assert most == {one: 1, three: 3}


@in_loop
async def test_workers_are_replicas_where_there_can_be_several(tmp_path):
    go = asyncio.Event()

    async def slow(call):
        await go.wait()

    async with node(tmp_path, SPEC, slow) as n:
        asked = []

        async def scale(replicas):
            asked.append(replicas)
            n.pool.copies = replicas

        n.pool.scale = scale
        one, two = [await submit(n, items(*range(9), size=1, workers=w)) for w in (2, 3)]
        while n.pool.now < 5:  # one batch at a time in each of five replicas
            await asyncio.sleep(0.01)
        go.set()
        await status(n, one)
        await status(n, two)
        assert n.pool.most == 5
        while asked[-1] != 1:
            await asyncio.sleep(0.01)


@in_loop
async def test_dry_run(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("b.png", "a.png", "c.txt"):
        (tmp_path / "pictures" / name).touch()
    lister = {"s3_paths": [str(tmp_path / "pictures")], "includes": ["**.png"], "batch_size": 1}
    async with node(tmp_path, SPEC, service) as n:
        body = {"workers": 1, "file_path_lister": lister}
        answer = await n("POST", "", body, query="dryRun=true")
        assert answer.headers["content-type"].startswith("text/plain")
        folder = tmp_path / "pictures"
        assert answer.body.decode() == f"{folder}/a.png\n{folder}/b.png\nvalidations passed"
        assert (await n("POST", "", items(1), query="dryRun=true")).body == b"validations passed"
        assert (await n.json("GET"))["jobs"] == []
        assert (await n.error(400, "POST", "", body, query="dryRun=yes"))["field"] == "dryRun"
        nothing = {"workers": 1, "file_path_lister": {**lister, "includes": ["**.gif"]}}
        assert (await n.error(400, "POST", "", nothing, query="dryRun=true"))["field"] == "paths"


@in_loop
async def test_files_are_enqueued_while_the_job_is_known(tmp_path):
    (tmp_path / "in.ndjson").write_text("".join(f"{i}\n" for i in range(5000)))
    delimited = {"s3_paths": [str(tmp_path / "in.ndjson")], "batch_size": 1}
    async with node(tmp_path, SPEC, service) as n:
        id = await submit(n, {"workers": 8, "delimited_files": delimited})
        assert (await status(n, id, 0))["job_status"]["status"] in ("enqueuing", "running")
        assert (await status(n, id, 40))["job_status"]["status"] == "succeeded"
        assert [r["result"] for r in await results(n, id)] == [[2 * i] for i in range(5000)]
        assert len([call for call in n.pool.calls if call.path == ""]) == 5000


@in_loop
async def test_enqueuing_that_fails_says_where(tmp_path):
    (tmp_path / "in.ndjson").write_text("1\n2\n{broken\n")
    delimited = {"s3_paths": [str(tmp_path / "in.ndjson")], "batch_size": 1}
    async with node(tmp_path, SPEC, service) as n:
        id = await submit(n, {"workers": 1, "delimited_files": delimited})
        job = (await status(n, id))["job_status"]
        assert job["status"] == "enqueue_failed"
        assert "in.ndjson, line 3" in job["reason"]
        assert n.pool.calls == []


@in_loop
async def test_enqueuing_goes_on_after_a_restart(tmp_path, monkeypatch):
    (tmp_path / "in.ndjson").write_text("".join(f"{i}\n" for i in range(50)))
    delimited = {"s3_paths": [str(tmp_path / "in.ndjson")], "batch_size": 1}
    monkeypatch.setattr("descent.deploy.jobs.enqueuing.CHUNK", 10)
    async with node(tmp_path, SPEC, service) as n:
        real, added = n.store.add_units, []

        async def two_chunks(job, units, *, start):
            if len(added) == 2:
                await asyncio.sleep(60)  # until the node is gone
            added.append(start)
            return await real(job, units, start=start)

        monkeypatch.setattr(n.store, "add_units", two_chunks)
        id = await submit(n, {"workers": 2, "delimited_files": delimited})
        while len(added) < 2:
            await asyncio.sleep(0.01)
    async with node(tmp_path, SPEC, service) as n:
        assert (await status(n, id))["job_status"]["status"] == "succeeded"
        assert [r["result"] for r in await results(n, id)] == [[2 * i] for i in range(50)]


@in_loop
async def test_a_job_accepted_without_an_answer_is_enqueued_when_asked_again(tmp_path, monkeypatch):
    (tmp_path / "in.ndjson").write_text("1\n2\n")
    delimited = {"s3_paths": [str(tmp_path / "in.ndjson")], "batch_size": 1}
    body = {"workers": 1, "delimited_files": delimited}
    async with node(tmp_path, SPEC, service) as n:
        real = n.store.submit

        async def unheard(job, **more):
            await real(job, **more)
            raise StoreUnavailable("the connection was cut")

        monkeypatch.setattr(n.store, "submit", unheard)
        await n.error(503, "POST", "", body, idempotency_key="k")
        monkeypatch.undo()
        id = await submit(n, body, idempotency_key="k")
        assert (await status(n, id))["job_status"]["status"] == "succeeded"
        assert [r["result"] for r in await results(n, id)] == [[2], [4]]


@in_loop
async def test_a_long_list_of_items_is_enqueued_too(tmp_path, monkeypatch):
    monkeypatch.setattr("descent.deploy.jobs.enqueuing.CHUNK", 10)
    async with node(tmp_path, SPEC, service) as n:
        id = await submit(n, items(*range(101), size=2, workers=4))
        assert (await status(n, id))["job_status"]["status"] == "succeeded"
        assert [r["result"] for r in await results(n, id, "&per=item")] == [
            2 * i for i in range(101)
        ]


@in_loop
async def test_stopping(tmp_path):
    ended = []

    async def slow(call):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(call.value)

    spec = SPEC.model_copy(update={"pod": SPEC.pod.model_copy(update={"max_concurrency": 8})})
    async with node(tmp_path, spec, slow) as n:
        id = await submit(n, items(1, 2, 3, size=1, workers=2))
        while len(n.pool.calls) < 2:
            await asyncio.sleep(0.01)
        assert await n.json("DELETE", query=f"jobID={id}") == {"message": f"stopped job {id}"}
        job = (await status(n, id))["job_status"]
        assert (job["status"], job["reason"]) == ("stopped", "stopped by the user")
        while len(ended) < 2:
            await asyncio.sleep(0.01)
        assert len(n.pool.calls) == 2
        assert [line["status"] for line in await results(n, id)] == ["stopped"] * 3


@in_loop
async def test_a_job_times_out(tmp_path):
    async with node(tmp_path, SPEC, lambda call: asyncio.sleep(60)) as n:
        id = await submit(n, items(1, 2, timeout=1))
        job = (await status(n, id))["job_status"]
        assert (job["status"], job["reason"]) == ("timed_out", "not finished within 1 s")
        while n.pool.now:
            await asyncio.sleep(0.02)


@in_loop
async def test_results_of_any_type(tmp_path):
    picture = bytes(range(256)) * 200  # a file, not a row

    async with node(tmp_path, SPEC, lambda call: (200, "image/png", picture)) as n:
        id = await submit(n, items(1))
        await status(n, id)
        (line,) = await results(n, id)
        assert (line["type"], base64.b64decode(line["result_base64"])) == ("image/png", picture)
        raw = await n("GET", "/results/0", query=f"jobID={id}")
        assert (raw.headers["content-type"], raw.body) == ("image/png", picture)


@in_loop
async def test_lists_and_what_is_asked_wrongly(tmp_path):
    async with node(tmp_path, SPEC, service) as n:
        ids = [await submit(n, items(1)) for _ in range(3)]
        for id in ids:
            await status(n, id)
        jobs = (await n.json("GET"))["jobs"]
        assert [job["job_id"] for job in jobs] == ids[::-1]
        assert jobs[0]["status"] == "succeeded"
        assert (await n.error(404, "GET", query="jobID=nope"))["message"] == "id nope not found"
        assert (await n.error(400, "DELETE"))["field"] == "jobID"
        assert (await n.error(405, "PUT"))["code"] == "method_not_allowed"
        assert (await n.error(400, "POST", "", {"workers": 0}))["field"] == "workers"
        assert (await n.error(404, "GET", "/results/9", query=f"jobID={ids[0]}"))[
            "code"
        ] == "no_result"
        same = await submit(n, items(1), idempotency_key="k")
        assert await submit(n, items(1), idempotency_key="k") == same
        assert (await n.error(422, "POST", "", items(2), idempotency_key="k"))["code"]


@in_loop
async def test_webhook_of_a_job(tmp_path):
    with Receiver() as receiver:
        spec = BatchSpec(name="resizer", service="x.py:X", webhook={"url": receiver.url})  # type: ignore[arg-type]
        async with node(tmp_path, spec, service) as n:
            id = await submit(n, items(1))
            await status(n, id)
            while not receiver.received:
                await asyncio.sleep(0.02)
    ((headers, body),) = receiver.received
    told = json.loads(body)
    assert (told["type"], told["data"]["job_id"]) == ("batch.succeeded", id)
    assert told["data"]["metrics"]["succeeded"] == 1
    assert "webhook-signature" not in headers  # no secret was named
