"""The page on operations is true: its commands, unit, proxy and names are tried."""

import re
import shlex
import shutil
import socket
import subprocess
import time
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from descent.cli.main import COMMANDS, assemble
from descent.deploy.control.settings import NodeSettings
from tests.deploy.control.nodes import TestNode

PAGE = (Path(__file__).parents[3] / "docs/deploy/operations.md").read_text(encoding="utf-8")
OTHERS = {"DESCENT_CACHE", "DESCENT_TOKEN"}


BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.M | re.S)


def block(kind):
    (found,) = [text for name, text in BLOCKS if name == kind]
    return found


def commands():
    """Of every shell block and the unit: each `descent …`, as words."""
    text = "\n".join(text for name, text in BLOCKS if not name)
    text += block("ini").replace("\\\n", "")
    for line in text.splitlines():
        for part in re.split(r";|&&|#|>", line):
            words = shlex.split(part)
            for i, word in enumerate(words):
                if (word == "descent" or word.endswith("/bin/descent")) and words[i + 1 :]:
                    yield words[i + 1 :]


def test_commands_and_options_exist():
    known = {name for names in COMMANDS.values() for name in names}
    tried = 0
    for words in commands():
        options = [word for word in words if word.startswith("--")]
        path = [words[0]]
        if words[0] in ("node", "keys") and len(words) > 1 and not words[1].startswith("-"):
            path.append(words[1])
        assert words[0] in known, words
        run = CliRunner().invoke(assemble(words[0]), [*path, "--help"], env={"COLUMNS": "200"})
        assert run.exit_code == 0, path
        for option in options:
            assert option in run.output, (path, option)
        tried += 1
    assert tried >= 10


def test_variables_exist():
    known = {
        f"DESCENT_{field.name.upper().removesuffix('_BYTES')}" for field in fields(NodeSettings)
    }
    assert set(re.findall(r"DESCENT_[A-Z_]+", PAGE)) <= known | OTHERS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_unit(tmp_path):
    unit = block("ini").replace("/opt/descent/bin/descent", "/bin/true")
    file = tmp_path / "descent.service"
    file.write_text(unit.replace("User=descent", "User=root"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True
    )
    said = [line for line in checked.stderr.splitlines() if "descent.service" in line]
    assert said == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx here")
def test_the_proxy(tmp_path):
    pytest.importorskip("cryptography", reason="makes the certificate")
    from tests.deploy.keys.test_real_node import certificate

    cert, key = certificate(tmp_path, "ml.example")
    node = TestNode(tmp_path, require_keys=True, allowed_hosts=("ml.example",))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    proxy = None
    try:
        node.start()
        with node.client() as client:
            node.deploy(client)
            secret = client.create_key("shop", ["predict"])["secret"]
        server = block("nginx").replace("listen 443", f"listen 127.0.0.1:{port}")
        server = server.replace("/etc/descent/cert.pem", str(cert))
        server = server.replace("/etc/descent/key.pem", str(key))
        server = server.replace("http://127.0.0.1:8080", node.url)
        own = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
            f"http {{ access_log off; {own}\n{server}\n}}"
        )
        proxy = subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"])
        headers = {"host": "ml.example", "authorization": f"Bearer {secret}"}
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False) as http:
            for _ in range(100):
                try:
                    answer = http.post("/says", json=1, headers=headers)
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            assert (answer.status_code, answer.json()["value"]) == (200, 1)
            assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
            assert http.post("/says", json=1, headers={"host": "ml.example"}).status_code == 401
            token = {"host": "ml.example", "authorization": f"Bearer {node.home.token}"}
            assert http.get("/-/apis", headers=token).status_code == 404
            assert http.get("/metrics", headers=token).status_code == 200
    finally:
        if proxy is not None:
            proxy.terminate()
            proxy.wait()
        node.end()
