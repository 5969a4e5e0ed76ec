"""Fetching models from a hub on this machine that speaks the real one's protocol."""

import errno
import hashlib
import json
import os

import pytest

import descent.hub.downloading as downloading
from descent.hub.cache import ModelCache
from descent.hub.finding import find
from descent.hub.naming import HubError, HubName
from descent.hub.pulling import plan_pull, pull
from tests.hub.local_hub import COMMIT, Repo, local_hub

WEIGHTS = bytes(range(256)) * 4096  # 1 MiB
FILES = {
    "config.json": b'{"model_type": "gpt2"}',
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "tf_model.h5": b"no",
    "onnx/model.onnx": b"no",
    "modeling_evil.py": b"raise SystemExit",
    "README.md": b"# read me",
}
LFS = frozenset({"model.safetensors", "pytorch_model.bin", "tf_model.h5"})
TOKEN = "hf_secretsecretsecret"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """An empty cache, no token, and no waiting between tries (what would be waited is kept)."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path / "descent"))
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    waits = []
    monkeypatch.setattr(downloading, "_pause", waits.append)
    return waits


@pytest.fixture
def hub(monkeypatch):
    with local_hub(me__tiny=Repo(dict(FILES), LFS, refs=("main", "v1"))) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def gets(hub, part):
    return [path for method, path, _ in hub.seen if method == "GET" and part in path]


def test_only_what_is_needed_comes_and_the_size_is_known_before(hub):
    plan = plan_pull("me/tiny")
    names = [file.path for file in plan.files]
    assert names == ["tokenizer.json", "config.json", "model.safetensors"]
    assert plan.total_bytes == sum(len(FILES[name]) for name in names)
    assert (plan.commit, plan.licence) == (COMMIT, "mit")
    assert not gets(hub, "/resolve/")  # nothing fetched by planning
    told = []
    path = plan.run(told.append)
    assert sum(told) == plan.total_bytes
    assert sorted(p.name for p in path.iterdir()) == sorted(names)
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert not any("pytorch" in p or "evil" in p or "onnx" in p for _, p, _ in hub.seen)


def test_the_commit_is_pinned_and_recorded(hub):
    path = pull("hf://me/tiny@v1")
    assert path.name == COMMIT
    assert all(f"/resolve/{COMMIT}/" in p for p in gets(hub, "/resolve/"))
    record = ModelCache("me/tiny").record(COMMIT)
    assert (record["commit"], record["revision"], record["licence"]) == (COMMIT, "v1", "mit")
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    assert record["sha256"]["model.safetensors"] == digest
    # Hugging Face's layout: transformers finds it too.
    from huggingface_hub import try_to_load_from_cache

    cache = os.environ["HF_HUB_CACHE"]
    found = try_to_load_from_cache("me/tiny", "model.safetensors", cache, revision="v1")
    assert found is not None
    assert os.path.samefile(found, path / "model.safetensors")


def test_a_second_pull_fetches_nothing_and_a_new_commit_only_what_changed(hub):
    pull("me/tiny")
    before = len(gets(hub, "/resolve/"))
    plan = plan_pull("me/tiny")
    assert plan.wanted == []
    plan.run()
    assert len(gets(hub, "/resolve/")) == before
    repo = hub.repos["me/tiny"]
    repo.files["config.json"], repo.commit = b'{"model_type": "llama"}', "b" * 40
    path = pull("me/tiny")
    assert (path / "config.json").read_bytes() == repo.files["config.json"]
    assert len(gets(hub, "/resolve/")) == before + 1
    assert find("me/tiny") == path
    assert find("me/tiny", revision=COMMIT).name == COMMIT  # the old one is still whole


def test_a_cut_connection_goes_on_where_it_broke(hub, own_cache):
    hub.faults["model.safetensors"].extend([("cut", 300_000), ("cut", 1), ("cut", 0)])
    told = []
    path = pull("me/tiny", on_bytes=told.append)
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    asked = [headers.get("range") for headers in hub.requests("/cdn/")]
    assert asked == [None, "bytes=300000-", "bytes=300001-", "bytes=300001-"]
    assert sum(told) == sum(len(FILES[p.name]) for p in path.iterdir())
    assert len(own_cache) == 3


def test_a_silent_server_counts_as_cut_off(hub, monkeypatch):
    monkeypatch.setattr(downloading, "_SILENCE_S", 0.3)
    hub.faults["model.safetensors"].append(("stall", 500_000))
    path = pull("me/tiny")
    hub.stalled.set()
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert [h.get("range") for h in hub.requests("/cdn/")] == [None, "bytes=500000-"]


def test_an_interrupted_process_goes_on_where_it_stopped(hub):
    came = []

    def interrupt(n):
        came.append(n)
        if sum(came) > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("me/tiny", on_bytes=interrupt)
    with pytest.raises(HubError, match="descent pull me/tiny"):
        find("me/tiny")  # half a model is none
    hub.seen.clear()
    path = pull("me/tiny")
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    small = len(FILES["config.json"]) + len(FILES["tokenizer.json"])
    assert [h.get("range") for h in hub.requests("/cdn/")] == [f"bytes={sum(came) - small}-"]


def test_a_part_from_before_is_continued(hub):
    part = ModelCache("me/tiny").blob(hashlib.sha256(WEIGHTS).hexdigest() + ".incomplete")
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:777_777])
    path = pull("me/tiny")
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert [h.get("range") for h in hub.requests("/cdn/")] == ["bytes=777777-"]


def test_a_server_without_ranges_starts_the_file_again(hub):
    hub.ranges = False
    hub.faults["model.safetensors"].append(("cut", 300_000))
    told = []
    path = pull("me/tiny", on_bytes=told.append)
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert sum(told) == sum(len(FILES[p.name]) for p in path.iterdir())


def test_wrong_bytes_are_thrown_away_and_never_get_their_name(hub):
    hub.faults["model.safetensors"].append(("wrong",))
    assert (pull("me/tiny") / "model.safetensors").read_bytes() == WEIGHTS
    hub.repos["me/tiny"].commit = "c" * 40
    hub.repos["me/tiny"].files["model.safetensors"] = other = WEIGHTS[::-1]
    hub.faults["model.safetensors"].extend([("wrong",), ("wrong",)])
    with pytest.raises(HubError, match=r"model\.safetensors: the bytes received are not") as error:
        pull("me/tiny")
    digest = hashlib.sha256(other).hexdigest()
    assert digest[:12] in str(error.value)
    assert not ModelCache("me/tiny").blob(digest).exists()


def test_a_small_file_is_verified_by_its_git_hash(hub):
    hub.faults["config.json"].extend([("wrong",), ("wrong",)])
    with pytest.raises(HubError, match=r"config\.json: .* git hash"):
        pull("me/tiny")


def test_a_damaged_blob_of_another_program_is_fetched_again(hub):
    blob = ModelCache("me/tiny").blob(hashlib.sha256(WEIGHTS).hexdigest())
    blob.parent.mkdir(parents=True)
    blob.write_bytes(bytes(len(WEIGHTS)))
    assert (pull("me/tiny") / "model.safetensors").read_bytes() == WEIGHTS


def test_a_busy_hub_is_asked_again_after_what_it_says(hub, own_cache):
    hub.faults["api"].append(("status", 503, {}))
    hub.faults["config.json"].append(("status", 429, {"Retry-After": "7"}))
    hub.faults["model.safetensors"].append(("status", 500, {}))
    pull("me/tiny")
    assert own_cache == [0.5, 7.0, 0.5]


def test_a_hub_that_stays_broken_is_told(hub, own_cache):
    hub.faults["api"].extend([("status", 502, {})] * 20)
    with pytest.raises(HubError, match="answers 502 for me/tiny"):
        pull("me/tiny")
    assert len(own_cache) == 5


def test_no_hub_at_all(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="can't be reached"):
        pull("me/tiny")


def test_a_private_model_needs_a_token_which_stays_with_the_hub(hub, monkeypatch, caplog):
    hub.repos["me/secret"] = Repo(dict(FILES), LFS, token=TOKEN)
    with pytest.raises(HubError, match="private"):
        pull("me/secret")
    with pytest.raises(HubError, match="private") as error:
        pull("me/secret", token="hf_wrongwrongwrong")
    assert "hf_wrong" not in repr(error.value)
    caplog.set_level("DEBUG")
    plan = plan_pull("me/secret", token=TOKEN)
    path = plan.run()
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    cdn = hub.requests("/cdn/me/secret")
    assert cdn
    assert not any("authorization" in headers for headers in cdn)
    assert TOKEN not in repr(plan)
    assert TOKEN not in caplog.text
    record = json.dumps(ModelCache("me/secret").record(COMMIT))
    assert TOKEN not in record


def test_the_token_of_the_environment(hub, monkeypatch):
    hub.repos["me/secret"] = Repo(dict(FILES), LFS, token=TOKEN)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    assert pull("me/secret").is_dir()


def test_a_gated_model_says_what_to_do(hub):
    hub.repos["me/gated"] = Repo(dict(FILES), LFS, token=TOKEN, gated=True)
    with pytest.raises(HubError, match="accept its licence"):
        pull("me/gated")


def test_what_is_not_there(hub):
    with pytest.raises(HubError, match="there is no model me/none"):
        pull("me/none")
    with pytest.raises(HubError, match="no revision 'v9'"):
        pull("me/tiny@v9")
    hub.repos["me/empty"] = Repo({"README.md": b"", "model.h5": b""})
    with pytest.raises(HubError, match=r"holds no weights that Descent reads.* h5, md"):
        pull("me/empty")


def test_offline_uses_what_is_here_and_asks_nobody(hub, monkeypatch):
    path = pull("me/tiny")
    asked = len(hub.seen)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert pull("me/tiny") == path
    with pytest.raises(HubError, match=r"me/other is not on this machine.*offline"):
        pull("me/other")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert pull("me/tiny", offline=True) == path
    assert len(hub.seen) == asked


def test_a_full_disk_is_one_sentence_and_loses_nothing(hub, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            self.file.close()

        def write(self, data):
            self.file.write(data[:1000])
            self.file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    from pathlib import Path

    real = Path.open

    def opened(self, mode="r", *args, **kwargs):
        file = real(self, mode, *args, **kwargs)
        return Full(file) if self.name.endswith(".incomplete") and mode in ("wb", "ab") else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(HubError, match=r"the disk is full at .* what has arrived is kept"):
            pull("me/tiny")
    assert (pull("me/tiny") / "model.safetensors").read_bytes() == WEIGHTS


def test_a_disk_too_small_is_told_before_anything_comes(hub, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda at: type("Usage", (), {"free": 1000}))
    with pytest.raises(HubError, match="GB more, and the disk"):
        pull("me/tiny")
    assert not gets(hub, "/resolve/")


def test_no_permission_is_one_sentence(hub, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(HubError, match="no permission to write in"):
        plan_pull("me/tiny").run()


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "a\\b", "C:evil", "x/../../y"])
def test_a_hostile_file_name_stays_outside(hub, name):
    hub.repos["me/evil"] = Repo({**FILES, name: b"x"})
    with pytest.raises(HubError, match="no safe name"):
        plan_pull("me/evil")


def test_gguf_takes_the_quantisation_asked_for(hub):
    files = {f"m-{q}.gguf": q.encode() for q in ("q2_k", "q4_k_m", "q8_0", "fp16")}
    files["mmproj-m-q8_0.gguf"] = b"not a language model"
    hub.repos["me/small-GGUF"] = Repo(files, frozenset(files))
    assert pull("me/small-GGUF").name == "m-q8_0.gguf"  # the best that the reader knows
    path = pull("me/small-GGUF:Q4_K_M")
    assert (path.name, path.read_bytes()) == ("m-q4_k_m.gguf", b"q4_k_m")
    assert find("me/small-GGUF:q4_k_m").samefile(path)
    assert not gets(hub, "mmproj")
    with pytest.raises(HubError, match="no GGUF file of quantisation Q5_0; it has FP16, Q2_K"):
        pull("me/small-GGUF", quant="Q5_0")


def test_divided_weights_come_whole(hub):
    parts = {f"model-0000{i}-of-00002.safetensors": bytes([i]) * 10 for i in (1, 2)}
    index = {"weight_map": {"a": next(iter(parts)), "b": list(parts)[1]}}
    files = {
        "config.json": b"{}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        "consolidated.safetensors": b"the same again",
        **parts,
    }
    hub.repos["me/large"] = Repo(files, frozenset(parts))
    path = pull("me/large")
    assert {p.name for p in path.iterdir()} == set(files) - {"consolidated.safetensors"}


def test_pickles_only_where_there_is_nothing_else(hub):
    files = {"config.json": b"{}", "pytorch_model.bin": b"pk", "flax_model.msgpack": b"no"}
    hub.repos["me/old"] = Repo(files)
    assert {p.name for p in pull("me/old").iterdir()} == {"config.json", "pytorch_model.bin"}


def test_find_takes_paths_runs_and_names(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "complete").mkdir(parents=True)
    assert find("complete").as_posix() == "runs/complete"
    assert find(tmp_path) == tmp_path
    with pytest.raises(HubError, match=r"there is no file or folder ./none"):
        find("./none")
    with pytest.raises(HubError, match=r"openai-community/gpt2 is not .*`descent pull gpt2`"):
        find("gpt2")
    with pytest.raises(HubError, match=r"`descent pull qwen2.5-0.5b-gguf`"):
        find("qwen2.5-0.5b-gguf")
    with pytest.raises(HubError, match="no model is known as 'gtp2'"):
        find("gtp2")


def test_find_sees_what_transformers_has_fetched():
    cache = ModelCache("me/elsewhere")
    folder = cache.snapshot(COMMIT)
    folder.mkdir(parents=True)
    cache.point("main", COMMIT)
    (folder / "config.json").write_text("{}")
    with pytest.raises(HubError):
        find("me/elsewhere")
    (folder / "model.safetensors").write_bytes(b"x")
    assert find("me/elsewhere") == folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner/name", HubName("owner/name")),
        ("hf://owner/name@v1.0", HubName("owner/name", "v1.0")),
        ("owner/name@refs/pr/3:Q4_0", HubName("owner/name", "refs/pr/3", "Q4_0")),
        ("https://huggingface.co/owner/name/", HubName("owner/name")),
        ("GPT2", HubName("openai-community/gpt2")),
        ("tinyllama-gguf:Q8_0", HubName("TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF", "main", "Q8_0")),
    ],
)
def test_names(text, expected):
    assert HubName.parse(text) == expected


@pytest.mark.parametrize("text", ["", "a/b/c", "../x", "o/n@../..", "o/n@", "owner/na me", "-x/y"])
def test_what_is_no_name(text):
    with pytest.raises(HubError):
        HubName.parse(text)
