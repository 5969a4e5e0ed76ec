"""Starting and stopping: ports, addresses, signals; in processes of their own where it matters."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from descent.serve import AddressInUse, background_server, serve
from tests.count_models import code_completer

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from descent.serve import serve
from tests.count_models import Paced, code_completer, code_model
serve([code_completer(Paced(code_model(), 0.02))], port=0, grace_s=float(sys.argv[1]),
      started=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@pytest.fixture
def start():
    """Starts the script; returns the process and its address."""
    processes = []

    def run(grace_s):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(grace_s)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.stderr.read()
        return process, url

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def events(answer):
    return [line[6:] for line in answer.iter_lines() if line]


BODY = {"model": "code", "prompt": "def ", "stream": True}


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_stream_finish(start, sig):
    process, url = start(30)
    with httpx.stream("POST", f"{url}/v1/completions", json=BODY | {"max_tokens": 60}) as answer:
        lines = answer.iter_lines()
        next(lines)
        process.send_signal(sig)
        # Until the stream has ended the server still answers, and says that it is leaving.
        while (ready := httpx.get(f"{url}/readyz")).status_code == 200:
            pass
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        assert httpx.get(f"{url}/healthz").status_code == 200
        refused = httpx.post(f"{url}/v1/completions", json=BODY)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        rest = [line[6:] for line in lines if line]
    assert len(rest) == 60  # 59 tokens after the first, and the end
    assert rest[-1] == "[DONE]"
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "ended\n", "")


def test_a_stream_longer_than_the_grace_ends_with_an_error_event(start):
    process, url = start(0.3)
    with httpx.stream("POST", f"{url}/v1/completions", json=BODY | {"max_tokens": 9999}) as answer:
        lines = answer.iter_lines()
        next(lines)
        process.send_signal(signal.SIGTERM)
        *_, last = [line[6:] for line in lines if line]
    assert json.loads(last)["error"]["code"] == "draining"
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "ended\n", "")


def test_a_second_signal_ends_at_once(start):
    process, url = start(600)
    with httpx.stream("POST", f"{url}/v1/completions", json=BODY | {"max_tokens": 9999}) as answer:
        next(answer.iter_lines())
        process.send_signal(signal.SIGTERM)
        while httpx.get(f"{url}/readyz").status_code == 200:
            pass
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_taken_port_is_one_clear_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUse, match=rf"127.0.0.1:{port}: .* another port") as error:
            serve([code_completer()], port=port)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("203.0.113.9", 0)])
def test_an_impossible_address_is_one_clear_sentence(host, port):
    with pytest.raises(AddressInUse, match=f"cannot listen on {host}:{port}"):
        serve([code_completer()], host=host, port=port)


def test_two_servers_at_once_and_the_port_is_free_afterwards():
    before = set(threading.enumerate())
    with background_server([code_completer()]) as one, background_server([code_completer()]) as two:
        assert one != two
        assert httpx.get(f"{one}/healthz").status_code == httpx.get(f"{two}/healthz").status_code
    port = int(one.rpartition(":")[2])
    with background_server([code_completer()], port=port) as again:
        assert again == one
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("model ")]


def test_without_the_extra_the_message_names_it():
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from descent.serve import serve\n"
        "try: serve([])\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "serving needs uvicorn, which is not installed: pip install 'descent-ml[serve]'\n"
    )


def test_importing_the_package_does_not_import_the_framework():
    code = "import sys, descent.serve; print({'fastapi', 'uvicorn', 'prometheus_client'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
