"""The local cluster's own book-keeping, without Ray; with it, see tests/deploy/ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from descent.deploy.cluster import local
from descent.deploy.cluster.local import LocalCluster, descendants
from descent.deploy.errors import DeployError


def test_nothing_runs(tmp_path):
    cluster = LocalCluster(tmp_path)
    assert cluster.running() is None
    assert cluster.address() is None
    assert cluster.down() is False
    assert cluster.info() == {"running": False}
    assert "`descent cluster up`" in cluster.health()


def _written(cluster, **changed):
    cluster.folder.mkdir(parents=True)
    fields = {
        "address": "127.0.0.1:1", "pid": os.getpid(), "born": local._born(os.getpid()),
        "cpus": 2, "object_store_bytes": 1, "started": 0.0, "folder": "x", **changed,
    }  # fmt: skip
    (cluster.folder / "cluster.json").write_text(json.dumps(fields))


def test_a_process_is_known_by_its_birth(tmp_path):
    _written(LocalCluster(tmp_path / "a"))
    assert LocalCluster(tmp_path / "a").running().pid == os.getpid()
    _written(LocalCluster(tmp_path / "b"), born=1)  # the number was given to another process since
    assert LocalCluster(tmp_path / "b").running() is None
    assert LocalCluster(tmp_path / "b").down() is False, "and it is left alone"
    (LocalCluster(tmp_path / "a").folder / "cluster.json").write_text("{")
    assert LocalCluster(tmp_path / "a").running() is None


def test_finds_children_and_theirs():
    code = (
        "import subprocess, sys; print(subprocess.Popen(['sleep', '9']).pid, flush=True); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    grandchild = int(child.stdout.readline())
    try:
        found = descendants(os.getpid())
        assert {os.getpid(), child.pid, grandchild} <= set(found)
        assert found[child.pid] > 2**20
    finally:
        os.kill(grandchild, 9)
        child.communicate("")


def test_ports_stay_out_of_rays_range():
    assert all(not 10_000 <= local._free_port() < 20_000 for _ in range(20))


def test_without_ray_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(local.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeployError, match=r"descent-ml\[ray\]"):
        LocalCluster(tmp_path).up()


def test_a_head_that_cannot_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(
        local, "_RAY", [sys.executable, "-c", "import sys; sys.exit('no room in /dev/shm')"]
    )
    with pytest.raises(DeployError, match="no room in /dev/shm"):
        LocalCluster(tmp_path).up()
    assert LocalCluster(tmp_path).running() is None
