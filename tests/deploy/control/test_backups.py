"""A backup made while jobs run is a node's folder: another starts from it and goes on."""

import os
import sqlite3
import stat

import pytest
from typer.testing import CliRunner

from descent.cli.main import assemble
from descent.deploy.control.backups import back_up
from descent.deploy.control.folders import Home
from descent.deploy.errors import DeployError
from tests.deploy.control.nodes import TestNode


@pytest.mark.slow
def test_a_node_starts_from_a_backup_of_one_at_work(make_node, tmp_path, monkeypatch):
    node = make_node()
    with node.client() as client:
        node.deploy(client, says="first")
        node.deploy(client, "many", kind="BatchAPI", service="says.py:Sum")
        items = {"items": list(range(100_000)), "batch_size": 10_000}  # too large for rows: files
        job = client.submit("many", {"workers": 1, "item_list": items})["job_id"]
        monkeypatch.setenv("DESCENT_HOME", str(node.home.path))
        said = CliRunner().invoke(assemble("node"), ["node", "backup", str(tmp_path / "copy")])
        assert said.exit_code == 0, said.output
        node.deploy(client, says="second")  # after it
    node.end()
    monkeypatch.delenv("DESCENT_HOME")
    other = TestNode(tmp_path / "other")
    os.rename(tmp_path / "copy", other.home.path)
    try:
        with other.start().client() as client:
            assert other.home.token == node.home.token
            assert client.predict("says", 1) == {"says": "first", "value": 1}
            done = client.wait("many", job)
            assert done["status"] == "succeeded"
            assert done["metrics"]["succeeded"] == 10
    finally:
        other.end()


def test_whole_or_not_at_all(tmp_path):
    with pytest.raises(DeployError, match="no node's folder"):
        back_up(Home(tmp_path / "none"), tmp_path / "copy")
    home = Home(tmp_path / "home").make()
    (home.path / "jobs.db").write_text("not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        back_up(home, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    (tmp_path / "copy").mkdir()
    with pytest.raises(DeployError, match="there already"):
        back_up(home, tmp_path / "copy")


def test_it_is_its_owners_alone_and_says_what_is_elsewhere(tmp_path, monkeypatch):
    home = Home(tmp_path / "home").make()
    (home.versions / "a").mkdir(parents=True)
    (home.versions / "a" / "x.py").write_text("1")
    (home.versions / "a" / "y.1234.part").write_text("half")
    monkeypatch.setenv("DESCENT_DATABASE_URL", "postgresql://x/y")
    monkeypatch.setenv("DESCENT_FILES_URL", "s3://bucket/jobs")
    assert home.token
    made = back_up(home, tmp_path / "copy")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    assert made.files == 2
    assert (made.path / "versions/a/x.py").read_text() == "1"
    assert made.left_out == (
        "the database (pg_dump copies it)", "results of jobs (s3://bucket/jobs)"
    )  # fmt: skip
