"""Settings: flags over variables over defaults, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.control.settings import NodeSettings, read_bytes
from descent.deploy.errors import DeployError


def test_flags_win_over_variables_over_defaults():
    env = {"DESCENT_PORT": "9000", "DESCENT_BACKEND": "command"}
    made = NodeSettings.gather({"port": 1234, "backend": None}, env)
    assert (made.port, made.backend, made.host) == (1234, "command", "127.0.0.1")


def test_what_a_process_is_started_with_is_what_it_reads(tmp_path):
    certificate = tmp_path / "c.pem"
    certificate.touch()
    made = NodeSettings(
        host="0.0.0.0", port=0, home=tmp_path, memory_limit_bytes=2 * 10**9, backend="ray",
        tls_certificate=certificate, tls_key=certificate, require_keys=True,
        cors_origins=("https://a.example", "https://b.example"), grace_s=5.0, load_s=2.5,
    )  # fmt: skip
    assert NodeSettings.gather({}, made.variables()) == made


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DESCENT_PORT": "http"}, "DESCENT_PORT is 'http'; it should be a whole number"),
        ({"DESCENT_PORT": "70000"}, "the port is 70000"),
        ({"DESCENT_INSECURE": "perhaps"}, "DESCENT_INSECURE is 'perhaps'; it should be true or"),
        ({"DESCENT_MEMORY_LIMIT": "lots"}, r"DESCENT_MEMORY_LIMIT is 'lots'; .* a size \(2G"),
        ({"DESCENT_BACKEND": "docker"}, "there are local, command and ray"),
        ({"DESCENT_TLS_CERTIFICATE": "/none"}, "both a certificate and its key"),
        ({"DESCENT_HOST": "0.0.0.0"}, "can be reached from other machines"),
        ({"DESCENT_HOST": "0.0.0.0", "DESCENT_REQUIRE_KEYS": "1"}, "TLS"),
    ],
)
def test_refused_with_what_would_be_right(variables, words):
    with pytest.raises(DeployError, match=words):
        NodeSettings.gather({}, variables)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_loopback_needs_nothing(host):
    assert NodeSettings(host=host).loopback


def test_insecure_is_a_decision():
    assert not NodeSettings(host="0.0.0.0", insecure=True).loopback


@pytest.mark.parametrize(
    ("text", "size"),
    [("2G", 2 * 10**9), ("512Mi", 512 * 2**20), ("1000", 1000), ("1.5k", 1500), ("2GB", 2 * 10**9)],
)
def test_sizes(text, size):
    assert read_bytes(text) == size


@given(st.text(max_size=8).filter(lambda text: not any(c.isdigit() for c in text)))
def test_a_text_without_a_number_is_no_size(text):
    with pytest.raises(DeployError, match="is not a size"):
        read_bytes(text)
