"""Images: the words given to Docker, and a stand-in for it that runs the command on this machine."""

import asyncio
import json
import stat
import sys

import pytest

from descent.deploy.pool import LoadError
from descent.deploy.pools.command_docker import docker_answers, remove_leftovers
from tests.deploy.pools.commands import SERVER, Log, call, command_spec, running

STAND_IN = """#!PYTHON -S
import json, os, socket, sys
words = sys.argv[1:]
with open("LOG", "a") as file:
    file.write(json.dumps(words) + "\\n")
if words[0] == "version":
    print("99.0")
elif words[0] == "ps":
    machine, parent = socket.gethostname(), os.getppid()
    began = open(f"/proc/{parent}/stat").read().rpartition(")")[2].split()[19]
    print("odd")
    for name, node in (
        ("dead", f"{machine}/999999999/5"), ("mine", f"{machine}/{parent}/{began}"),
        ("reused", f"{machine}/{parent}/1"), ("other", "elsewhere/999999999/5"),
    ):
        print(name, node)
elif words[0] == "exec":
    sys.exit(0 if words[2] == "probe-ok" else 1)
elif words[0] == "run":
    image = next(n for n, word in enumerate(words) if word.startswith("images.example/"))
    if words[image].endswith("/missing"):
        print("docker: Error response from daemon: pull access denied")
        sys.exit(125)
    ports = [words[n + 1].split(":") for n, word in enumerate(words) if word == "--publish"]
    outer = next((port[1] for port in ports if port[2] == "8080"), None)
    if outer is None:
        os.execvp("sleep", ["sleep", "100"])
    os.execvp(sys.executable, [sys.executable, "-S", "SERVER", outer])
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """The words of every call to `docker`, which is ours."""
    path = tmp_path / "bin" / "docker"
    path.parent.mkdir()
    log = tmp_path / "calls"
    text = STAND_IN.replace("PYTHON", sys.executable).replace("SERVER", SERVER)
    path.write_text(text.replace("LOG", str(log)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{path.parent}:{path.parent}/../../../usr/bin:/usr/bin:/bin")
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


def image(name="api", of="server", **fields):
    return {"name": name, "image": f"images.example/{of}", **fields}


def test_containers_share_the_network_of_the_first(tmp_path, docker):
    async def main():
        first = image(
            command=["serve", "--port=$(CORTEX_PORT)"], args=["$(MY_WORD)"],
            env={"MY_WORD": "x y", "PATH": "/opt/bin"}, compute={"shm": "64Mi", "gpu": 1, "mem": "128Mi"},
            readiness_probe={"http_get": {"port": 8080, "path": "/health"}},
        )  # fmt: skip
        beside = image("beside", readiness_probe={"exec": {"command": ["probe-ok"]}},
                       liveness_probe={"tcp_socket": {"port": 8500}})  # fmt: skip
        async with running(command_spec(first, beside), tmp_path) as pool:
            assert (await call(pool)).status == 200
            name = pool._replicas[0].name
            port = pool._replicas[0].address[1]
        runs = {words[words.index("--name") + 1]: words for words in docker() if words[0] == "run"}
        words = runs[f"{name}-api"]
        assert f"127.0.0.1:{port}:8080" in words
        assert sum(word.endswith(":8500") for word in words) == 1  # asked from here: published too
        at = words.index("images.example/server")
        assert words[at + 1 :] == ["--port=8080", "x y"]
        assert words[words.index("--entrypoint") + 1] == "serve"
        assert words[words.index("--shm-size") + 1] == str(64 << 20)
        assert words[words.index("--gpus") + 1] == "1"
        assert "CORTEX_PORT" in words
        assert "MY_WORD" in words
        assert "PATH=/opt/bin" in words
        other = runs[f"{name}-beside"]
        assert other[other.index("--network") + 1] == f"container:{name}-api"
        assert ["exec", f"{name}-beside", "probe-ok"] in docker()
        assert ["rm", "--force", f"{name}-api"] in docker()

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="the start of a process is read from /proc")
def test_what_a_killed_node_has_left_is_removed(docker):
    assert asyncio.run(remove_leftovers()) == ["dead", "reused"]
    assert ["rm", "--force", "dead", "reused"] in docker()
    asyncio.run(docker_answers("echo"))


def test_an_image_that_cannot_be_had(tmp_path, docker):
    async def main():
        log = Log()
        with pytest.raises(LoadError, match="pull access denied"):
            async with running(command_spec(image(of="missing")), tmp_path, log):
                pass
        assert any("it ended with code 125" in line for line in log.lines) or log.lines

    asyncio.run(main())


def test_without_docker_it_says_what_to_do(tmp_path, monkeypatch):
    async def main():
        async with running(command_spec(image()), tmp_path):
            pass

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        LoadError, match="there is no `docker` here; install and start Docker, or give"
    ):
        asyncio.run(main())
    script = tmp_path / "docker"
    script.write_text("#!/bin/sh\necho Cannot connect to the Docker daemon\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(LoadError, match="which says: Cannot connect to the Docker daemon"):
        asyncio.run(main())
