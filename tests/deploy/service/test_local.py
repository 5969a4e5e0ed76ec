"""The local backend: loaded, warmed, asked, ill, scaled to zero and back, ended."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import textwrap
import threading
import tracemalloc

import pytest

from descent.deploy.asking import ask
from descent.deploy.pool import Context, LoadError, Start
from descent.deploy.pools import local, output
from descent.deploy.pools.local import LocalBackend
from descent.deploy.spec import spec_of
from tests.deploy.service.asking_apps import Log
from tests.deploy.service.test_streams import eventually


def start_of(tmp_path, code: str, *, version: int = 1, log: Log | None = None, **fields) -> Start:
    folder = tmp_path / f"v{version}"
    folder.mkdir(exist_ok=True)
    (folder / "thing.py").write_text(textwrap.dedent(code))
    spec = spec_of("pkg:Thing", **{"name": "thing", "max_concurrency": 4, **fields})
    spec = spec.model_copy(update={"service": "thing.py:Thing"})
    return Start(spec, version, folder, log if log is not None else Log())


async def told(pool, value, path=""):
    answer = await ask(
        pool.app, path, json.dumps(value).encode(), context=Context("r-1"), root_path="/thing"
    )
    return answer.status, json.loads(answer.body)


def run(scenario):
    before = threading.active_count()
    asyncio.run(scenario)
    assert threading.active_count() == before


VERSION = """
    import helper_of_thing
    class Thing:
        def load(self): self.n = helper_of_thing.N
        def predict(self, x: int) -> list[int]: return [self.n, x]
"""


def test_two_versions_of_the_same_code_live_side_by_side(tmp_path):
    async def scenario():
        backend = LocalBackend()
        pools = []
        for version in (1, 2):
            start = start_of(tmp_path, VERSION, version=version)
            (start.folder / "helper_of_thing.py").write_text(f"N = {version * 10}\n")
            pools.append(await backend.start(start))
        assert await told(pools[0], 5) == (200, [10, 5])
        assert await told(pools[1], 5) == (200, [20, 5])
        assert pools[0].signature["input"]["type"] == "integer"
        [replica] = pools[0].replicas()
        assert replica.state == "Ready"
        assert replica.started > 0
        await pools[0].close(1)
        assert await told(pools[1], 6) == (200, [20, 6])
        await backend.close()
        assert [pool.replicas()[0].state for pool in pools] == ["Pending", "Pending"]

    run(scenario())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("class Thing:\n  def load(self):\n    open('/nowhere/at/all')\n  def predict(self, x): return x",
         r"load\(\) failed .*thing.py, line 3.*nowhere"),
        ("class Thing:\n  async def load(self):\n    raise RuntimeError('no model')\n  def predict(self, x): return x",
         "no model"),
        ("class Thing:\n  def predict(self, x: undefined): return x", "undefined"),
        ("class Thing:\n  def load(self):\n    raise SystemExit(2)\n  def predict(self, x): return x",
         "SystemExit"),
        ("class Other: pass", "Thing"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
    ],
)  # fmt: skip
def test_a_version_that_cannot_be_loaded_says_why(tmp_path, code, said):
    async def scenario():
        with pytest.raises(LoadError, match=said):
            await LocalBackend().start(start_of(tmp_path, code))

    run(scenario())


def test_a_warm_up_that_fails_quotes_its_input_and_unloads(tmp_path):
    code = """
        class Thing:
            def predict(self, x: float) -> float: return 1 / x
            def unload(self): print("unloaded")
    """

    async def scenario():
        log = Log()
        with pytest.raises(LoadError, match=r"warm-up with 0.*ZeroDivisionError"):
            await LocalBackend().start(start_of(tmp_path, code, log=log, warm_up=[2.0, 0]))
        assert "unloaded" in log.text()
        with pytest.raises(LoadError, match=r'warm-up with "two" failed \(400\)'):
            await LocalBackend().start(start_of(tmp_path, code, version=2, warm_up=["two"]))

    run(scenario())


def test_examples_of_the_service_warm_it(tmp_path):
    code = """
        class Thing:
            examples = [1, 2]
            def load(self): self.seen = []
            def predict(self, x: int) -> list[int]:
                self.seen.append(x)
                return list(self.seen)
    """

    async def scenario():
        backend = LocalBackend()
        pool = await backend.start(start_of(tmp_path, code, warm_up=[3]))
        assert await told(pool, 4) == (200, [1, 2, 3, 4])
        await backend.close()

    run(scenario())


def test_prints_go_to_the_versions_log_with_the_requests_id(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(output, "_open", set())  # pools that other tests of this process left open
    code = """
        import sys
        print("imported")
        class Thing:
            def load(self): print("loading", 1)
            def unload(self): print("no end", end="")
            def predict(self, x: int) -> int:
                print("seen", x, end="")
                print("!")
                print("oops", file=sys.stderr)
                return x
            async def later(self, x: int) -> int:
                print("later", x)
                return x
    """

    async def scenario():
        log = Log()
        backend = LocalBackend()
        pool = await backend.start(start_of(tmp_path, code, log=log))
        await told(pool, 7)
        print("mine")
        await backend.close()
        lines = {line: fields for line, fields in log}
        assert {"imported", "loading 1", "seen 7!", "oops", "no end"} <= lines.keys()
        assert lines["seen 7!"] == {"stream": "stdout", "request_id": "r-1"}
        assert lines["oops"]["stream"] == "stderr"
        assert "mine" not in lines

    real = sys.stdout, sys.stderr
    run(scenario())
    assert (sys.stdout, sys.stderr) == real
    assert capsys.readouterr().out == "mine\n"


def test_scaled_to_zero_it_is_unloaded_and_comes_back(tmp_path):
    code = """
        import mmap

        class Thing:
            def load(self):  # pages of its own: malloc may have room that is resident already
                self.big = mmap.mmap(-1, 30_000_000)
                for at in range(0, len(self.big), 4096):
                    self.big[at] = 1
            def predict(self, x: int) -> int: return len(self.big)
            def unload(self): print("gone")
    """

    async def scenario():
        log = Log()
        backend = LocalBackend()
        pool = await backend.start(start_of(tmp_path, code, log=log))
        assert pool.replicas()[0].memory_bytes > 20_000_000
        await pool.scale(0)
        assert pool.replicas()[0].state == "Pending"
        assert pool.replicas()[0].memory_bytes is None
        assert log.text().count("gone") == 1
        status, said = await told(pool, 1)
        assert (status, said["error"]["code"]) == (503, "not_ready")
        await asyncio.gather(*(pool.scale(1) for _ in range(3)))  # loads once
        assert log.text().count("loaded in") == 2
        assert await told(pool, 1) == (200, 30_000_000)
        await backend.close()

    run(scenario())


def test_what_is_closed_is_not_loaded_again(tmp_path):
    """A request that has waited for room may ask for it after the end of its version."""
    code = """
        class Thing:
            def load(self): print("loaded")
            def predict(self, x: int) -> int: return x
    """

    async def scenario():
        log = Log()
        pool = await LocalBackend().start(start_of(tmp_path, code, log=log))
        await pool.close(5.0)
        await pool.scale(1)
        assert [line for line, _ in log].count("loaded") == 1
        assert (await told(pool, 1))[0] == 503

    run(scenario())


def test_an_ill_service_is_loaded_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "HEALTH_PERIOD_S", 0.01)
    code = """
        loads = []
        class Thing:
            def load(self):
                loads.append(self)
                self.well = True
            def predict(self, x: int) -> list[int]:
                self.well = x != 13
                return [len(loads), x]
            def check_health(self):
                if not self.well: raise RuntimeError("feeling bad")
    """

    async def scenario():
        backend = LocalBackend()
        pool = await backend.start(start_of(tmp_path, code))
        assert await told(pool, 13) == (200, [1, 13])
        await eventually(lambda: pool.replicas()[0].reason == "RuntimeError: feeling bad")
        assert pool.replicas()[0].state == "NotReady"
        await eventually(lambda: pool.replicas()[0].restarts == 1)
        assert pool.replicas()[0].state == "Ready"
        assert (await told(pool, 1))[0] == 200
        await backend.close()

    run(scenario())


def test_a_deploy_that_is_given_up_stops_the_load(tmp_path):
    code = """
        class Thing:
            def load(self):
                print("begun")
                while True: pass
            def predict(self, x): return x
    """

    async def scenario():
        log = Log()
        task = asyncio.create_task(LocalBackend().start(start_of(tmp_path, code, log=log)))
        await eventually(lambda: log)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario())


def test_async_load_and_predict_share_the_event_loop(tmp_path):
    code = """
        import asyncio
        class Thing:
            async def load(self): self.lock, self.loop = asyncio.Lock(), asyncio.get_running_loop()
            async def predict(self, x: int) -> bool:
                async with self.lock:
                    return self.loop is asyncio.get_running_loop()
            async def unload(self): print("bye")
    """

    async def scenario():
        log = Log()
        backend = LocalBackend()
        pool = await backend.start(start_of(tmp_path, code, log=log))
        assert await told(pool, 1) == (200, True)
        await backend.close()
        assert "bye" in log.text()

    run(scenario())


def test_a_scikit_learn_model_answers_in_batches(tmp_path):
    pytest.importorskip("sklearn")
    code = """
        import numpy as np
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression
        class Thing:
            def load(self):
                data = load_iris()
                self.names = data.target_names
                self.model = LogisticRegression(max_iter=500).fit(data.data, data.target)
            def batch(self, rows): return np.array(rows)
            def predict(self, rows: list[list[float]]) -> list[str]:
                return [str(self.names[i]) for i in self.model.predict(rows)]
    """

    async def scenario():
        backend = LocalBackend()
        pool = await backend.start(
            start_of(tmp_path, code, batching={"max_batch_size": 4, "max_wait_ms": 500})
        )
        rows = [
            [5.1, 3.5, 1.4, 0.2],
            [6.7, 3.0, 5.2, 2.3],
            [5.7, 2.8, 4.1, 1.3],
            [5.0, 3.4, 1.5, 0.2],
        ]
        answers = await asyncio.gather(*(told(pool, row) for row in rows))
        assert [a[1] for a in answers] == ["setosa", "virginica", "versicolor", "setosa"]
        assert (pool.counts.batch_size.total, sum(pool.counts.batch_size.counts)) == (4, 1)
        await backend.close()

    run(scenario())


@pytest.mark.oracle
def test_a_pytorch_module_answers(tmp_path):
    pytest.importorskip("torch")
    code = """
        import torch
        class Thing:
            def load(self):
                torch.manual_seed(0)
                self.model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).eval()
            def decode(self, row: list[float]): return torch.tensor(row)
            def predict(self, x):
                with torch.inference_mode(): return self.model(x).softmax(-1)
            def encode(self, p) -> dict[str, list[float]]: return {"p": p.tolist()}
    """

    async def scenario():
        backend = LocalBackend()
        pool = await backend.start(start_of(tmp_path, code, warm_up=[[0, 0, 0]]))
        status, answer = await told(pool, [1.0, 2.0, 3.0])
        assert status == 200
        assert sum(answer["p"]) == pytest.approx(1, abs=1e-6)
        await backend.close()

    run(scenario())


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_ten_thousand_requests_leave_no_memory(tmp_path, kind):
    code = f"""
        class Thing:
            {kind} predict(self, x: list[int]) -> int: return sum(x)
    """

    async def many(pool, n):
        for i in range(n):
            await told(pool, [i] * 50)
            await asyncio.sleep(0)  # as between a server's requests

    async def scenario():
        backend = LocalBackend()
        pool = await backend.start(start_of(tmp_path, code))
        await many(pool, 500)
        tracemalloc.start()
        try:
            await many(pool, 100)
            grown = []
            for _ in range(2):
                gc.collect()
                before = tracemalloc.get_traced_memory()[0]
                await many(pool, 2500)
                gc.collect()
                grown.append(tracemalloc.get_traced_memory()[0] - before)
        finally:
            tracemalloc.stop()
        assert min(grown) < 25_000  # a leak grows every time, a table that doubles once
        await backend.close()

    run(scenario())


@pytest.mark.parametrize(
    "fields", [{}, {"batching": {"max_batch_size": 4}}], ids=["one", "batched"]
)
def test_an_unloaded_instance_is_freed_at_once(tmp_path, fields):
    """Not at some later collection: it may be gigabytes."""
    code = """
        class Thing:
            def load(self):
                self.check = lambda: print("freed")
            def predict(self, x): return x
            def __del__(self): self.check()
    """

    async def scenario():
        log = Log()
        backend = LocalBackend()
        pool = await backend.start(start_of(tmp_path, code, log=log, **fields))
        assert (await told(pool, [1]))[0] == 200
        gc.disable()
        try:
            freed = []
            instance = pool._service.instance
            instance.check = lambda: freed.append(True)
            del instance
            await pool.scale(0)
            await asyncio.sleep(0)
            assert freed == [True]
        finally:
            gc.enable()
        await backend.close()

    run(scenario())
