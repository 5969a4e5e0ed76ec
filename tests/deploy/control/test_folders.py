"""The node's folder: its key, who holds it, where the node says it is."""

import os

import pytest

from descent.deploy.control.environments import Environments
from descent.deploy.control.folders import Home, Running
from descent.deploy.errors import DeployError


def test_the_token_is_made_once_for_its_owner_alone(tmp_path):
    home = Home(tmp_path / "home")
    token = home.token
    assert len(token) >= 32
    assert Home(tmp_path / "home").token == token
    assert (home.path / "token").stat().st_mode & 0o777 == 0o600
    assert home.path.stat().st_mode & 0o777 == 0o700


def test_a_token_that_was_never_finished_is_made_again(tmp_path):
    (tmp_path / "token").write_text("")
    assert len(Home(tmp_path).token) >= 32


def test_one_holder_at_a_time(tmp_path):
    home = Home(tmp_path)
    lock = home.lock()
    assert lock is not None
    assert home.lock() is None
    os.close(lock)
    again = home.lock()
    assert again is not None
    os.close(again)


def test_a_node_is_running_while_its_lock_is_held(tmp_path):
    home = Home(tmp_path)
    said = Running("http://127.0.0.1:1", 2, 3, 4.0)
    assert home.running() is None
    lock = home.lock()
    home.announce(said)
    assert home.running() == said
    os.close(lock)  # as after a power cut: the file is there, nobody holds the lock
    assert home.running() is None


def test_the_variable_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCENT_HOME", str(tmp_path))
    assert Home().path == tmp_path


def test_environments_are_kept_with_their_keys_private(tmp_path):
    made = Environments(Home(tmp_path))
    assert made.find(None) is None  # this machine's own
    made.configure("gpu", "https://gpu.example/", "secret")
    made.use("gpu")
    again = Environments(Home(tmp_path))
    assert (again.find(None).url, again.find("gpu").token) == ("https://gpu.example", "secret")
    assert again.find("local") is None
    assert again.home.environments_file.stat().st_mode & 0o777 == 0o600
    again.rename("gpu", "big")
    assert again.default == "big"
    again.delete("big")
    assert Environments(Home(tmp_path)).default == "local"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e.find("nope"), "there is no environment 'nope'; there are local"),
        (lambda e: e.configure("a", "gpu.example", None), "http:// or https://"),
        (lambda e: e.configure("local", "https://x", None), "'local' is this machine's own"),
        (lambda e: e.delete("local"), "stays"),
        (lambda e: e.rename("local", "x"), "cannot be renamed"),
    ],
)
def test_environments_refuse(tmp_path, change, words):
    with pytest.raises(DeployError, match=words):
        change(Environments(Home(tmp_path)))


def test_a_broken_file_of_environments_is_named(tmp_path):
    (tmp_path / "environments.json").write_text("{")
    with pytest.raises(DeployError, match=r"environments\.json cannot be read"):
        Environments(Home(tmp_path))
