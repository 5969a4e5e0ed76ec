"""`descent deploy` and the commands beside it, against a real node."""

import json
import os
import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from descent.cli.main import app
from descent.deploy.errors import DeployError
from tests.deploy.control.nodes import TestNode

YAML = """
- name: sums
  kind: AsyncAPI
  service: says.py:Sum
- name: many
  kind: BatchAPI
  service: says.py:Sum
- name: once
  kind: TaskAPI
  service: says.py:task
- name: both
  kind: TrafficSplitter
  apis: [{name: says, weight: 100}, {name: other, weight: 0}]
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    made = TestNode(tmp_path_factory.mktemp("cli"))
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def descent(node, monkeypatch):
    monkeypatch.setenv("DESCENT_HOME", str(node.home.path))
    monkeypatch.setenv("DESCENT_PORT", "0")
    monkeypatch.chdir(node.code)

    def run(*words, error=None):
        out = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert (out.exit_code == 0) == (error is None), out.output
        return out.output

    return run


def test_before_anything_runs(descent):
    with pytest.raises(DeployError, match="no node runs here"):
        descent("get")
    assert "no node runs here" in descent("node", "stop")


def test_deploying_starts_a_node_and_says_how_to_ask(descent, node):
    out = descent("deploy", "says.py:Says", "--set", "config.says=hi", "--set", "max_concurrency=4")
    assert "node started at http://127.0.0.1:" in out
    assert "says is live: version 1" in out
    assert "curl http://127.0.0.1:" in out
    assert "says is up to date (version 1)" in descent(
        "deploy", "says.py:Says", "--set", "config.says=hi", "--set", "max_concurrency=4"
    )
    assert json.loads(descent("predict", "says", "3")) == {"says": "hi", "value": 3}
    assert node.home.running() is not None


def test_what_is_deployed_is_shown(descent):
    out = descent("get")
    assert "says" in out
    assert "RealtimeAPI" in out
    [api] = json.loads(descent("get", "-o", "json"))
    assert (api["name"], api["state"]) == ("says", "live")
    out = descent("describe", "says")
    assert "Ready" in out
    assert "first version" in out


def test_a_yaml_of_several(descent, node):
    descent("deploy", "says.py:Says", "--name", "other")
    (node.code / "apis.yaml").write_text(YAML)
    out = descent("deploy", "apis.yaml", "-y")
    assert "sums is live" in out
    assert "both is live" in out
    assert json.loads(descent("predict", "both", "3"))["says"] == "hi"
    assert "other=100" in descent("weights", "both", "says=0", "other=100")
    assert json.loads(descent("predict", "both", "3"))["says"] is None
    assert "all traffic to says" in descent("promote", "both", "says")
    assert json.loads(descent("predict", "both", "3"))["says"] == "hi"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_lines_work(descent):
    for result in json.loads(descent("deploy", "apis.yaml", "--force", "-o", "json")):
        line = result["curl"] + " -s -o /dev/null -w %{http_code}"
        out = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
        assert out.stdout == "200", line


def test_jobs(descent):
    assert descent("submit", "sums", "[1, 2]", "--wait").splitlines()[-1] == "3"
    assert "completed" in descent("submit", "sums", "[1, 2]", "--follow")
    descent("submit", "sums", '["x"]', "--wait", error=True)
    jobs = json.loads(descent("jobs", "sums", "-o", "json"))
    assert [job["status"] for job in jobs][:3] == ["failed", "completed", "completed"]
    assert jobs[0]["job_id"] in descent("jobs", "sums", "--status", "failed")
    assert "completed" in descent("get", "sums", jobs[1]["job_id"])


def test_versions_rollback_refresh_logs(descent):
    descent("deploy", "says.py:Says", "--set", "config.says=new")
    assert json.loads(descent("predict", "says", "3"))["says"] == "new"
    assert "says is at version 1" in descent("rollback", "says")
    assert json.loads(descent("predict", "says", "3"))["says"] == "hi"
    out = descent("versions", "says")
    assert "config.says: 'hi' → 'new'" in out
    assert "loaded anew" in descent("refresh", "says")
    assert "is ready after" in descent("logs", "says", "--version", "1")
    assert json.loads(descent("logs", "says", "-o", "json", "-n", "1").splitlines()[0])


def test_a_stream_is_printed_as_it_comes(descent, node):
    (node.code / "counts.py").write_text(
        "from collections.abc import Iterator\nclass Counts:\n"
        "    def predict(self, n: int) -> Iterator[int]:\n        yield from range(n)\n"
    )
    descent("deploy", "counts.py:Counts")
    assert descent("predict", "counts", "3", "--stream").split() == ["0", "1", "2"]
    descent("delete", "counts")


def test_input_from_files_and_answers_to_files(descent, node):
    (node.code / "n.json").write_text("5")
    assert json.loads(descent("predict", "says", "@n.json"))["value"] == 5
    descent("predict", "says", "6", "--out", "answer.json")
    assert json.loads((node.code / "answer.json").read_text())["value"] == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy"], r"no descent\.yaml"),
        (["deploy", "none.py:X"], r"there is no .*none\.py"),
        (["deploy", "none.yaml"], r"there is no file .*none\.yaml"),
        (["deploy", "says.py:Nope"], "'Nope'"),
        (["deploy", "says.py:Says", "--set", "max_concurency=2"], "did you mean .*max_concurrency"),
        (["deploy", "says.py:Says", "--set", "x"], "field=value"),
        (["describe", "none"], "there is no API 'none'; deployed: .*says"),
        (["predict", "says", "{"], "is not JSON"),
        (["predict", "says", "@none"], "there is no file none"),
        (["predict", "says", '"x"'], "integer"),
        (["jobs", "says"], "it has no jobs"),
        (["get", "-o", "xml"], "there are pretty and json"),
        (["get", "-e", "gpu"], "there is no environment 'gpu'"),
        (["weights", "both", "says"], "old=90 new=10"),
        (["delete", "says"], "'both' sends traffic to 'says'"),
    ],
)
def test_mistakes_are_one_sentence(descent, words, said):
    with pytest.raises(DeployError, match=said) as error:
        descent(*words)
    assert "Traceback" not in str(error.value)


def test_names_are_completed_for_the_shell(descent):
    from descent.cli.deploy_common import complete_api

    assert complete_api("s") == ["says", "sums"]
    assert complete_api("zz") == []


def test_an_environment_names_another_node(descent, node):
    url = node.home.running().url
    descent("env", "configure", "gpu", "--url", url, "--token", node.home.token)
    assert "gpu" in descent("env", "list")
    assert "says" in descent("get", "-e", "gpu")
    (node.code / "sub").mkdir()
    (node.code / "sub" / "far.py").write_text(
        "class Far:\n    def predict(self, v: int) -> int:\n        return v\n"
    )
    assert "far is live" in descent("deploy", "sub/far.py:Far", "-e", "gpu")  # its code was sent
    assert descent("predict", "far", "4").strip() == "4"
    descent("env", "delete", "gpu")


def test_delete_and_stop(descent, node):
    assert "deleted both" in descent("delete", "both")
    assert "deleted says" in descent("delete", "says")
    assert "url" in descent("node", "info")
    assert descent("node", "token").strip() == node.home.token
    assert "stopped" in descent("node", "stop")
    lock = node.home.lock()
    assert lock is not None
    os.close(lock)
    out = descent("deploy", "says.py:Says", "--name", "again")
    assert "node started" in out
    assert "far" in descent("get")  # what was deployed stays deployed
