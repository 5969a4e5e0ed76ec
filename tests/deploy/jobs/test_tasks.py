import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from descent.deploy.jobs.logs import Output
from descent.deploy.jobs.running import Command, Run
from descent.deploy.spec import TaskSpec
from tests.deploy.jobs.nodes import in_loop, node

CODE = """
import os, sys, time, json
from beside import double

class Trainer:
    def __init__(self, config):
        self.config = config
    def load(self):
        print("loading", flush=True)
    def predict(self, config):
        print("job", json.load(open(os.environ["CORTEX_JOB_SPEC"]))["job_id"], flush=True)
        return {"spec": self.config, "job": config, "four": double(2)}

def fails(config):
    raise ValueError("no data in " + config["folder"])

async def nothing():
    return None

def hungry(config):
    raise MemoryError("cannot allocate 9 TiB")
"""


def command(*argv: str, **fields) -> TaskSpec:
    containers = [{"name": "t", "command": list(argv)}]
    return TaskSpec(name="trainer", pod={"containers": containers}, **fields)  # type: ignore[arg-type]


def python(code: str, **fields) -> TaskSpec:
    return command(sys.executable, "-c", code, **fields)


async def submit(n, body=None) -> str:
    return (await n.json("POST", "", body or {}))["job_id"]


async def ended(n, id: str):
    return (await n.json("GET", "", query=f"jobID={id}&wait=40"))["job_status"]


async def log(n, id: str, more: str = "") -> str:
    return (await n("GET", "/logs", query=f"jobID={id}{more}")).body.decode()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@in_loop
async def test_a_class_of_the_user_s(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "beside.py").write_text("def double(x): return 2 * x\n")
    spec = TaskSpec(name="trainer", service="code.py:Trainer", config={"lr": 0.1})
    async with node(tmp_path, spec) as n:
        said = await n.json("POST", "", {"timeout": 60, "config": {"epochs": 3}})
        id = said["job_id"]
        assert said == {
            "job_id": id,
            "api_name": "trainer",
            "kind": "TaskAPI",
            "workers": 1,
            "config": {"epochs": 3},
            "api_id": "trainer-1",
            "timeout": 60,
            "created_time": said["created_time"],
        }
        job = await ended(n, id)
        assert (job["status"], job["reason"], job["attempts"]) == ("succeeded", "", 1)
        assert job["created_time"] <= job["start_time"] <= job["end_time"]
        result = await n.json("GET", "/results", query=f"jobID={id}")
        assert result == {"spec": {"lr": 0.1}, "job": {"epochs": 3}, "four": 4}
        assert await log(n, id) == f"loading\njob {id}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("nothing", "succeeded", ""),
        ("fails", "worker_error", "ended with code 1: ValueError: no data in /x"),
        ("hungry", "worker_oom", "MemoryError: cannot allocate 9 TiB"),
        ("absent", "worker_error", "absent"),
    ],
)
@in_loop
async def test_functions_and_how_they_end(tmp_path, name, status, reason):
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "beside.py").write_text("def double(x): return 2 * x\n")
    async with node(tmp_path, TaskSpec(name="trainer", service=f"code.py:{name}")) as n:
        job = await ended(n, await submit(n, {"config": {"folder": "/x"}}))
        assert job["status"] == status
        assert reason in job["reason"]


@pytest.mark.parametrize(
    ("spec", "status", "reason"),
    [
        (python("print('done')"), "succeeded", ""),
        (python("print('disk is on fire'); exit(3)"), "worker_error", "code 3: disk is on fire"),
        (python("import os; os.kill(os.getpid(), 9)"), "worker_error", "killed by SIGKILL"),
        (python("import os; os.abort()"), "worker_error", "killed by SIGABRT"),
        (command("/no/such/program"), "worker_error", "/no/such/program cannot be started"),
    ],
)
@in_loop
async def test_commands_and_how_they_end(tmp_path, spec, status, reason):
    async with node(tmp_path, spec) as n:
        job = await ended(n, await submit(n))
        assert job["status"] == status
        assert reason in job["reason"]


@in_loop
async def test_what_a_command_is_told(tmp_path):
    code = (
        "import json, os; e = os.environ; print(json.dumps([e['CORTEX_JOB_ID'], e['MINE'], "
        "os.getcwd(), json.load(open(e['CORTEX_JOB_SPEC']))]))"
    )
    containers = [
        {"name": "t", "command": [sys.executable], "args": ["-c", code], "env": {"MINE": "1"}}
    ]
    spec = TaskSpec(name="trainer", pod={"containers": containers})  # type: ignore[arg-type]
    async with node(tmp_path, spec) as n:
        id = await submit(n, {"config": {"a": 1}})
        await ended(n, id)
        told_id, mine, folder, job = json.loads(await log(n, id))
        assert (told_id, mine, folder) == (id, "1", str(tmp_path))
        assert (job["job_id"], job["config"], job["kind"]) == (id, {"a": 1}, "TaskAPI")
        assert await n.json("GET", "/results", query=f"jobID={id}") == {"exit_code": 0}


@in_loop
async def test_the_node_s_secrets_are_not_passed_on(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCENT_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("MY_OWN", "kept")
    async with node(tmp_path, python("import os; print(sorted(os.environ.items()))")) as n:
        id = await submit(n)
        assert (await ended(n, id))["status"] == "succeeded"
        said = await log(n, id)
        assert "user:secret@" not in said
        assert "('MY_OWN', 'kept')" in said


@in_loop
async def test_an_image_without_docker_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("descent.deploy.jobs.commands.shutil.which", lambda name: None)
    pod = {"containers": [{"name": "t", "image": "example/train:1", "command": ["train"]}]}
    async with node(tmp_path, TaskSpec(name="trainer", pod=pod)) as n:  # type: ignore[arg-type]
        job = await ended(n, await submit(n))
        assert job["status"] == "unexpected_error"
        assert "there is no `docker` here" in job["reason"]


@in_loop
async def test_an_image_is_run_by_docker(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    container = {
        "name": "t", "image": "example/train:1", "command": ["train", "--fast"], "args": ["$(MODE)"],
        "env": {"MODE": "dry"},
    }  # fmt: skip
    spec = TaskSpec(name="trainer", pod={"containers": [container]})  # type: ignore[arg-type]
    async with node(tmp_path, spec) as n:
        id = await submit(n)
        assert (await ended(n, id))["status"] == "succeeded"
        words = (await log(n, id)).splitlines()
        assert words[:5] == ["run", "--rm", "--init", "--name", f"task-{id}-run-0-1"]
        assert words[-5:] == ["--entrypoint", "train", "example/train:1", "--fast", "dry"]
        assert "MODE" in words
        assert any(word.endswith("run-0-1/job.json:/cortex/spec/job.json:ro") for word in words)


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session={apart})
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("how", ["stopped", "timed_out"])
@in_loop
async def test_stop_and_timeout_end_the_whole_tree(tmp_path, monkeypatch, how, apart):
    monkeypatch.setattr("descent.deploy.jobs.running.GRACE_S", 0.2)
    async with node(tmp_path, python(STUBBORN.format(apart=apart))) as n:
        id = await submit(n, {"timeout": 1} if how == "timed_out" else {})
        while not (said := await log(n, id)):
            await asyncio.sleep(0.02)
        pids = [int(word) for word in said.split()]
        if how == "stopped":
            assert await n.json("DELETE", query=f"jobID={id}") == {"message": f"stopped job {id}"}
        job = await ended(n, id)
        assert job["status"] == how
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.05)


@in_loop
async def test_attempts(tmp_path):
    code = (
        "import os, sys; path = 'tries'; n = os.path.exists(path) and os.path.getsize(path) or 0;"
        "open(path, 'a').write('x'); print('try', n + 1); sys.exit(n < 2)"
    )
    async with node(tmp_path, python(code, attempts=3, retry_backoff_s=0.01)) as n:
        id = await submit(n)
        assert (await ended(n, id))["status"] == "succeeded"
        assert await log(n, id) == "try 1\ntry 2\ntry 3\n"
    (tmp_path / "tries").unlink()
    async with node(tmp_path, python(code, retry_backoff_s=0.01)) as n:
        id = await submit(n)
        assert (await ended(n, id))["status"] == "worker_error"  # once is once
        assert await log(n, id) == "try 1\n"
        again = await n.json("POST", "/retry", query=f"jobID={id}")
        assert again["job_status"]["status"] == "pending"
        assert (await ended(n, id))["status"] == "worker_error"
        assert await log(n, id) == "try 1\ntry 2\n"


@in_loop
async def test_a_running_task_survives_a_restart_of_the_node(tmp_path):
    code = "import os, time; print(os.getpid(), flush=True)\nwhile not os.path.exists('go'): time.sleep(0.02)\nprint('end')"
    spec = python(code)
    async with node(tmp_path, spec) as n:
        id = await submit(n)
        while not (said := await log(n, id)):
            await asyncio.sleep(0.02)
    assert alive(int(said))
    async with node(tmp_path, spec) as n:
        await asyncio.sleep(0.3)
        (tmp_path / "go").touch()
        job = await ended(n, id)
        assert job["status"] == "succeeded"
        assert await log(n, id) == f"{said.strip()}\nend\n"  # one run, not two


@in_loop
async def test_a_task_that_ended_while_no_node_ran(tmp_path):
    spec = python("import time; print('run', flush=True); time.sleep(0.3); raise SystemExit(4)")
    async with node(tmp_path, spec) as n:
        id = await submit(n)
        while not await log(n, id):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.6)
    async with node(tmp_path, spec) as n:
        job = await ended(n, id)
        assert (job["status"], job["reason"]) == ("worker_error", "ended with code 4: run")
        assert await log(n, id) == "run\n"


@in_loop
async def test_a_task_whose_guardian_was_killed(tmp_path):
    spec = python("import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(600)")
    async with node(tmp_path, spec) as n:
        id = await submit(n)
        while not (said := await log(n, id)):
            await asyncio.sleep(0.02)
        task, guardian = (int(word) for word in said.split())
        os.kill(guardian, signal.SIGKILL)
        job = await ended(n, id)
        assert job["status"] == "worker_error"
        assert "guardian process was killed" in job["reason"]
        while alive(task):  # it dies with its guardian
            await asyncio.sleep(0.05)


@in_loop
async def test_attempts_go_on_after_a_guardian_was_killed(tmp_path):
    code = (
        "import os, time; n = os.path.exists('tries'); open('tries', 'a').write('x');"
        "print(os.getppid(), flush=True); time.sleep(0 if n else 600)"
    )
    async with node(tmp_path, python(code, attempts=2, retry_backoff_s=0.01)) as n:
        id = await submit(n)
        while not (said := await log(n, id)):
            await asyncio.sleep(0.02)
        os.kill(int(said), signal.SIGKILL)
        assert (await ended(n, id))["status"] == "succeeded"
        assert (tmp_path / "tries").read_text() == "xx"


@in_loop
async def test_a_run_whose_node_was_killed_before_it_began_is_begun(tmp_path):
    async with node(tmp_path, python("print('run')")) as n:
        n.api.room.version = 0  # no capacity
        id = await submit(n)
        run = n.api.kind.runs.run(id, 0, 1)  # type: ignore[union-attr]
        run.folder.mkdir(parents=True)
        (run.folder / "job.json").write_text("{}")
        n.api.room.version = 1
        assert (await ended(n, id))["status"] == "succeeded"
        assert await log(n, id) == "run\n"


def test_a_task_that_writes_without_end_is_heard_piece_by_piece(tmp_path):
    written = tmp_path / "log.txt"
    written.write_text("one\n" * 10)
    heard = []

    def tell(line):
        heard.append(line)
        assert len(heard) <= 1000, "whoever waits for the end of this waits for ever"
        with written.open("a") as file:
            file.write("more\n")

    output = Output(written, tell)
    assert output.hand_on()
    assert heard == ["one"] * 10
    assert output.hand_on()
    assert heard[10:] == ["more"] * 10


@in_loop
async def test_logs_can_be_followed(tmp_path):
    code = "import time\nfor i in range(3): print(i, flush=True); time.sleep(0.1)"
    async with node(tmp_path, python(code)) as n:
        id = await submit(n)
        assert await log(n, id, "&follow=true") == "0\n1\n2\n"
        assert (await n.json("GET", "", query=f"jobID={id}"))["job_status"]["status"] == "succeeded"


@in_loop
async def test_what_it_writes_is_in_the_job_s_log_once(tmp_path):
    code = (
        "import os, time\nprint('one', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.02)\nprint('two\\nthree', end='')"
    )
    logs = tmp_path / "logs"

    def messages(id):
        lines = (logs / f"{id}.jsonl").read_text().splitlines()
        return [line["message"] for line in map(json.loads, lines) if line.get("stream")]

    async with node(tmp_path, python(code), logs=logs) as n:
        id = await submit(n)
        while not (logs / f"{id}.jsonl").exists() or messages(id) != ["one"]:
            await asyncio.sleep(0.02)
    (tmp_path / "go").touch()
    async with node(tmp_path, python(code), logs=logs) as n:  # goes on where the other stopped
        assert (await ended(n, id))["status"] == "succeeded"
        assert messages(id) == ["one", "two", "three"]
        entry = json.loads((logs / f"{id}.jsonl").read_text().splitlines()[-1])
        assert (entry["api"], entry["version"], entry["job_id"]) == ("trainer", 1, id)
        assert (entry["level"], entry["message"]) == ("info", "task succeeded")
        assert n.api.room.logs.forget(time.time() + 1) == 1


@in_loop
async def test_schedule(tmp_path):
    spec = python("print('tick')", schedule="* * * * *")
    async with node(tmp_path, spec) as n:
        api = n.api.room.api
        while not (schedule := await n.store.schedules.get(api)):
            await asyncio.sleep(0.02)
        assert schedule.next_run is not None
        assert 0 < schedule.next_run - time.time() <= 61
        real = n.store.now
        n.store.now = lambda: real() + 600  # ten runs were missed: one makes up for them
        id = await n.api.kind.scheduling.run_due()  # type: ignore[union-attr]
        if id is None:  # the loop was sooner
            id = (await n.json("GET"))["jobs"][0]["job_id"]
        assert await n.api.kind.scheduling.run_due() is None  # type: ignore[union-attr]
        n.store.now = real
        assert (await ended(n, id))["status"] == "succeeded"
        listed = await n.json("GET")
        assert [job["job_id"] for job in listed["jobs"]] == [id]
        assert listed["schedule"]["rule"] == "* * * * *"


@in_loop
async def test_what_is_asked_wrongly(tmp_path):
    async with node(tmp_path, python("pass")) as n:
        assert (await n.error(400, "POST", "", {"timeout": 0}))["field"] == "timeout"
        assert (await n.error(404, "GET", query="jobID=nope"))["code"] == "not_found"
        assert (await n.error(405, "PATCH"))["code"] == "method_not_allowed"
        id = await submit(n)
        await ended(n, id)
        same = await n.json("POST", "", {}, idempotency_key="k")
        assert await n.json("POST", "", {}, idempotency_key="k") == same


def test_two_guardians_do_not_run_one_command_twice(tmp_path):
    run = Run(tmp_path / "run-0-1")
    code = "import time; open('runs', 'a').write('x'); time.sleep(0.5)"
    command = Command([sys.executable, "-c", code], str(tmp_path), {}, None)
    run.folder.mkdir()
    run.begin(command, {})
    other = Run(run.folder)
    while not (tmp_path / "runs").exists():
        time.sleep(0.01)
    other.begin(command, {})
    assert asyncio.run(run.ended(print)).status == "succeeded"
    assert asyncio.run(other.ended(print)).status == "succeeded"
    assert (tmp_path / "runs").read_text() == "x"
