"""Every name and label of the dashboard and the alerts is one that a real node tells."""

from __future__ import annotations

import json
import re
import time
import urllib.request

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from descent.cli.main import assemble
from descent.deploy.dashboards import ALERTS, alert_rules, dashboard, scrape_config
from tests.deploy.control.nodes import TestNode

STREAM = """
from collections.abc import Iterator
class Counts:
    def predict(self, n: int) -> Iterator[int]:
        yield from range(n)
"""
# Prometheus' own words in an expression, and what it says itself of each scrape
WORDS = """sum min max count by and or ignoring rate increase delta histogram_quantile min_over_time
max_over_time""".split()
OF_PROMETHEUS = {"up": {"job", "instance"}}
EVERYWHERE = {"instance", "job"}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The page of a node with every kind of work: {sample's name: its labels}."""
    node = TestNode(tmp_path_factory.mktemp("node"))
    (node.code / "counts.py").write_text(STREAM)
    try:
        node.start()
        with node.client() as client:
            node.deploy(client)
            node.deploy(client, "counts", service="counts.py:Counts")
            node.deploy(client, "later", kind="AsyncAPI", service="says.py:Sum")
            node.deploy(client, "many", kind="BatchAPI", service="says.py:Sum")
            node.deploy(client, "once", kind="TaskAPI", service="says.py:task")
            client.deploy({"name": "code", "kind": "RealtimeAPI", "service": "descent-code"})
            made = client.create_key("mine", ["predict"])["secret"]
        post(node, "/says", 1, authorization=f"Bearer {made}")
        post(node, "/later", [1, 2])
        said = {"model": "code", "prompt": "def ", "max_tokens": 2, "stream": True}
        post(node, "/v1/completions", said)
        time.sleep(1.2)  # what is counted each second
        with urllib.request.urlopen(f"{node.url}/metrics", timeout=20) as answer:
            yield answer.read().decode()
    finally:
        node.end()


def post(node, path, value, **headers):
    headers = {"content-type": "application/json", **headers}
    asked = urllib.request.Request(node.url + path, json.dumps(value).encode(), headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def labels(told):
    found = {name: set(names) for name, names in OF_PROMETHEUS.items()}
    for family in text_string_to_metric_families(told):
        for sample in family.samples:
            found.setdefault(sample.name, set(EVERYWHERE)).update(sample.labels)
    return found


def names_in(expression):
    """(metrics, labels) of an expression."""
    told = set(re.findall(r"\{\{(\w+)\}\}", expression))
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    labels = told | set(re.findall(r"(\w+)=~?", bare.replace("==", "")))
    for group in re.findall(r"(?:by|ignoring) \(([^)]*)\)", bare):
        labels |= {name.strip() for name in group.split(",")}
    bare = re.sub(r"(by|ignoring) \([^)]*\)|\{[^}]*\}", " ", bare)
    return set(re.findall(r"\b[a-zA-Z_]\w*", bare)) - set(WORDS) - {"e9"}, labels


def expressions():
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield pytest.param(target["expr"], target["legendFormat"], id=panel["title"])
    for alert in ALERTS:
        yield pytest.param(alert.expr, "", id=alert.name)


@pytest.mark.slow
@pytest.mark.parametrize(("expression", "legend"), list(expressions()))
def test_an_expression_asks_for_what_there_is(expression, legend, labels):
    metrics, wanted = names_in(expression)
    assert metrics
    assert metrics <= set(labels), "not told by a node"
    known = set().union(*(labels[name] for name in metrics)) | {"le"}
    assert wanted <= known
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    kept = {
        n.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for n in group.split(",")
    }
    assert shown <= kept


@pytest.mark.slow
def test_a_name_stands_on_the_page_once(told):
    names = re.findall(r"^# TYPE (\S+)", told, re.MULTILINE)
    assert len(set(names)) == len(names)
    assert 'http_requests_total{handler="code",status="200"} 1.0' in told


def test_names_are_found_in_expressions():
    found = names_in('sum by (api, code) (rate(a_total{x="b",y=~"5.."}[5m])) / c > 0.05')
    assert found == ({"a_total", "c"}, {"api", "code", "x", "y"})


def test_the_dashboard_is_whole():
    made = json.loads(json.dumps(dashboard()))
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in made["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    titles = [panel["title"] for panel in made["panels"] if panel["type"] != "row"]
    assert len(set(titles)) == len(titles)


def test_the_commands(monkeypatch, tmp_path):
    monkeypatch.setenv("DESCENT_HOME", str(tmp_path))
    run = CliRunner().invoke
    app = assemble("node")
    assert json.loads(run(app, ["node", "dashboard"]).stdout) == dashboard()
    assert yaml.safe_load(run(app, ["node", "alerts"]).stdout) == alert_rules()
    said = yaml.safe_load(run(app, ["node", "scrape", "--url", "https://a:1", "--keys"]).stdout)
    assert said == scrape_config("https://a:1", keys=True)
    (job,) = said["scrape_configs"]
    assert (job["scheme"], job["static_configs"]) == ("https", [{"targets": ["a:1"]}])
    assert job["authorization"]["credentials_file"] == "/etc/prometheus/descent.key"
    (job,) = yaml.safe_load(run(app, ["node", "scrape"]).stdout)["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8080"]}]
    assert "authorization" not in job
