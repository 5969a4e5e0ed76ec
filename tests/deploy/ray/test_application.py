"""The Serve application that KubeRay runs, on a Serve of this machine; and its configuration."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from descent.deploy.cluster.kubernetes import serve_config
from descent.deploy.cluster.local import _free_port
from descent.deploy.spec import read_specs
from tests.deploy.ray.conftest import SERVICE

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is not installed: pip install 'descent-ml[ray]'",
)
SPEC = {
    "name": "sorter", "kind": "RealtimeAPI", "service": "service.py:Service", "timeout_s": 2,
    "pod": {"max_concurrency": 4}, "autoscaling": {"min_replicas": 1, "max_replicas": 2},
}  # fmt: skip
SCRIPT = """
import json, sys
import httpx, ray
address, port, spec, folder, file = sys.argv[1:]
ray.init(address, log_to_driver=False)
from ray import serve
from descent.deploy.pools.ray.application import build
serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
app = build({"spec": json.loads(spec), "folder": folder, "version": 3})
serve.run(app, name="sorter", route_prefix="/sorter")
def ask(value, path=""):
    answer = httpx.post(f"http://127.0.0.1:{port}/sorter{path}", json=value, timeout=30)
    return answer.status_code, answer.json()
print(json.dumps([
    ask({"a": [1]}), ask({"sleep": 60, "file": file}), ask(1, "/no/such/path"),
]))
broken = json.loads(spec) | {"name": "broken", "config": {"broken": True}}
try:
    serve.run(build({"spec": broken, "folder": folder}), name="broken", route_prefix="/broken")
except RuntimeError:
    print(serve.status().applications["broken"].status.value)
"""


@needs_ray
@pytest.mark.slow
def test_serves_as_at_home(cluster, tmp_path):
    (tmp_path / "service.py").write_text(SERVICE)
    file = tmp_path / "ended"
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(cluster.token_file)}
    arguments = [cluster.running().address, str(_free_port()), json.dumps(SPEC), tmp_path, file]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        env={**os.environ, **token}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answers, _, said = done.stdout.partition("\n")
    (good, late, missing) = json.loads(answers)
    assert good == [200, {"a": [1]}]
    assert late[0] == 504
    assert late[1]["error"]["code"] == "timeout"
    assert file.read_text() == "cancelled", "the work was stopped"
    assert missing[0] == 404
    assert said.strip() == "DEPLOY_FAILED"


@needs_ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own fields
@pytest.mark.parametrize("begun", [False, True])
def test_an_answer_is_begun_once(begun):
    from descent.deploy.pools.ray.application import _Served

    async def app(scope, receive, send):
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(60)

    async def run():
        served, sent = _Served({}, 1, "."), []
        (served._spec,) = read_specs({**SPEC, "timeout_s": 0.01})
        served._pool = SimpleNamespace(app=app)

        async def send(message):
            sent.append(message.get("status"))

        scope = {"type": "http", "path": "/sorter", "headers": []}
        try:
            await served(scope, None, send)
        except TimeoutError:
            sent.append("broken off")
        return sent

    assert asyncio.run(run()) == ([200, "broken off"] if begun else [504, None])


@needs_ray
@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own fields
def test_rays_own_schemas_take_it():
    from ray.serve.config import AutoscalingConfig
    from ray.serve.schema import ServeDeploySchema

    from descent.deploy.pools.ray.application import serve_autoscaling, serve_options

    specs = read_specs([SPEC, {**SPEC, "name": "other", "policy": "ray"}])
    assert len(ServeDeploySchema.model_validate(serve_config(specs)).applications) == 2
    cortex, ray = (AutoscalingConfig(**serve_autoscaling(spec)) for spec in specs)
    assert (cortex.target_ongoing_requests, cortex.look_back_period_s) == (4, 60)
    assert (cortex.upscale_delay_s, cortex.downscale_delay_s) == (60, 300)
    assert (ray.target_ongoing_requests, ray.downscale_delay_s) == (2, 600)
    options = serve_options(specs[0])
    assert (options["max_ongoing_requests"], options["max_queued_requests"]) == (4, 100)
