"""A node that anybody may reach: keys, TLS, CORS and hosts, end to end."""

from __future__ import annotations

import asyncio
import datetime
import json
import ssl
import subprocess
import sys
import time

import httpx
import pytest

from descent.deploy.clients import Client, client
from descent.deploy.control.certificates import follow, pinned
from tests.deploy.control.nodes import TestNode

x509 = pytest.importorskip("cryptography.x509", reason="makes the certificates")
ORIGIN = "https://page.example"


def certificate(folder, name):
    """A self-signed one for `name`: (certificate, key)."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(secret)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open")
    cert, key = certificate(folder, "ml.example")
    made = TestNode(
        folder, host="0.0.0.0", tls_certificate=cert, tls_key=key, require_keys=True,
        cors_origins=(ORIGIN,),
    )  # fmt: skip
    try:
        made.start()
        with client(home=made.home.path) as ours:
            made.deploy(ours)
            made.deploy(ours, "other")
            made.deploy(ours, "later", kind="AsyncAPI", service="says.py:Sum")
        yield made
    finally:
        made.end()


@pytest.fixture
def ours(node):
    with client(home=node.home.path) as made:
        yield made


@pytest.fixture
def http(node):
    with httpx.Client(base_url=node.url, verify=pinned(node.settings.tls_certificate)) as made:
        yield made


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


@pytest.mark.slow
def test_who_may_do_what(node, ours, http):
    says = ours.create_key("says", ["predict:says"])["secret"]
    jobs = ours.create_key("jobs", ["submit"])["secret"]
    look = ours.create_key("look", ["control:read"])["secret"]
    allowed = {
        ("POST", "/says"): {says},
        ("POST", "/other"): set(),
        ("POST", "/later"): {jobs},
        ("GET", "/metrics"): {look},
        ("GET", "/openapi.json"): {look},
        ("GET", "/-/apis"): {look},
        ("POST", "/-/keys"): set(),
        ("POST", "/v2/models/says/infer"): {says},
        ("POST", "/v2/models/other/infer"): set(),
    }
    tensors = {"inputs": [{"name": "value", "shape": [1], "datatype": "INT64", "data": [1]}]}
    for (method, path), who in allowed.items():
        body = tensors if path.startswith("/v2") else [1] if path == "/later" else 1
        more = {} if method == "GET" else {"json": body}
        assert http.request(method, path, **more).status_code == 401, path
        assert http.request(method, path, headers=bearer("dsk_no"), **more).status_code == 401
        for secret in (says, jobs, look):
            answer = http.request(method, path, headers=bearer(secret), **more)
            expected = (200,) if secret in who else (403,)
            assert answer.status_code in expected, (path, answer.text)
    assert http.get("/livez").status_code == http.get("/readyz").status_code == 200
    assert http.post("/says", json=1, headers={"x-api-key": says}).status_code == 200
    asked, until = [], time.monotonic() + 10
    while (200, "says") not in asked[-1:] and time.monotonic() < until:
        time.sleep(0.02)  # the log is written a little later
        log = (node.home.logs / "access.jsonl").read_text().splitlines()
        asked = [(line["status"], line.get("key")) for line in map(json.loads, log)]
    assert (200, "says") in asked
    assert (401, None) in asked
    assert all(key is None for status, key in asked if status in (401, 403))
    said = http.get("/metrics", headers=bearer(look)).text
    assert 'descent_key_requests_total{key="says",outcome="forbidden"}' in said


@pytest.mark.slow
def test_nothing_is_told_of_what_is_deployed_to_those_without_a_key(ours, http):
    key = bearer(ours.create_key("any", ["submit:later"])["secret"])
    for path in ("/v1/models", "/v1/models/says", "/v2/models/says", "/v2/models/says/ready"):
        answer = http.get(path)
        assert answer.status_code == 401, path
        assert http.get(path, headers=key).status_code in (200, 404)
    assert http.post("/v1/completions", json={"model": "no"}).status_code == 401
    for path in ("/", "/nothing", "/readyz", "/v2", "/v2/health/ready", "/v2/nothing", "/-/"):
        answer = http.get(path)
        assert answer.status_code in (200, 404), path
        assert "says" not in answer.text, path


@pytest.mark.slow
def test_a_key_ends_at_once_and_a_rate_is_kept(ours, http):
    made = ours.create_key("brief", ["predict"], per_s=0.01, burst=2)
    statuses = [http.post("/says", json=1, headers=bearer(made["secret"])) for _ in range(3)]
    assert [answer.status_code for answer in statuses] == [200, 200, 429]
    assert 90 <= int(statuses[2].headers["retry-after"]) <= 100
    ours.revoke_key(made["id"])
    assert http.post("/says", json=1, headers=bearer(made["secret"])).status_code == 401


@pytest.mark.slow
def test_pages_of_exact_origins_may_ask_and_no_others(ours, http):
    key = ours.create_key("page", ["predict"])["secret"]
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    answer = http.options("/says", headers={**asked, "origin": ORIGIN})  # without a key
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-headers"] == "x-api-key"
    for origin in (
        "https://page.example.evil",
        "http://page.example",
        "https://page.example:1",
        "null",
    ):
        answer = http.options("/says", headers={**asked, "origin": origin})
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers
    answer = http.post("/says", json=1, headers={**bearer(key), "origin": ORIGIN})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert "origin" in answer.headers["vary"].lower()
    refused = http.post("/says", json=1, headers={"origin": ORIGIN})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN  # the page may read why


@pytest.mark.slow
def test_plain_http_and_another_certificate_get_nothing(node, tmp_path, monkeypatch):
    with pytest.raises(httpx.HTTPError):
        httpx.get(node.url.replace("https:", "http:") + "/livez")
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"{node.url}/livez")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path, "else.example")[0]))
    with (
        Client(node.url, "x" * 20, patience_s=0) as other,
        pytest.raises(Exception, match="certificate"),
    ):
        other.list_apis()


@pytest.mark.slow
def test_commands_beside_the_node_need_no_authority(node):
    got = subprocess.run(
        [sys.executable, "-m", "descent", "get", "-o", "json"], capture_output=True, text=True,
        env={"DESCENT_HOME": str(node.home.path), "PATH": ""}, timeout=30,
    )  # fmt: skip
    assert got.returncode == 0, got.stderr
    assert '"says"' in got.stdout


def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(tmp_path, caplog):
    async def name_of(port):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(der).subject.rfc4514_string()

    async def scenario():
        cert, key = certificate(tmp_path, "one.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        following = asyncio.create_task(follow(context, cert, key, 0.01))
        try:
            await asyncio.sleep(0.02)
            assert await name_of(port) == "CN=one.example"
            old = key.read_bytes()
            certificate(tmp_path, "two.example")
            new = key.read_bytes()
            key.write_bytes(old)  # for a moment they do not fit together
            await asyncio.sleep(0.1)
            assert await name_of(port) == "CN=one.example"
            key.write_bytes(new)
            for _ in range(200):
                if await name_of(port) == "CN=two.example":
                    break
                await asyncio.sleep(0.01)
            assert await name_of(port) == "CN=two.example"
            cert.unlink()
            await asyncio.sleep(0.1)
            assert await name_of(port) == "CN=two.example"
            assert not following.done()
        finally:
            following.cancel()
            server.close()

    asyncio.run(scenario())
    assert "the old certificate stays" in caplog.text
