"""What was sent is kept: code copied, runs linked, nothing else touched."""

import os

import pytest

from descent.deploy.control import sources
from descent.deploy.control.sources import chosen_files, keep
from descent.deploy.errors import DeployError


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def kept_files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_code_is_copied_with_what_stands_beside_it(tmp_path):
    base = write(
        tmp_path / "code", s_py="class S: ...", help__x_py="1", data="numbers"
    )  # "__" is "/"
    (base / ".hidden").write_text("x")
    (base / "__pycache__").mkdir()
    (base / "__pycache__" / "s.pyc").write_text("x")
    (base / "env2").mkdir()
    (base / "env2" / "pyvenv.cfg").write_text("x")
    kept = keep("s.py:S", base, tmp_path / "kept")
    assert kept.service == "s.py:S"
    assert kept_files(tmp_path / "kept") == ["data", "help/x.py", "s.py"]
    (base / "s.py").write_text("changed")
    assert (tmp_path / "kept" / "s.py").read_text() == "class S: ..."


def test_an_absolute_path_becomes_relative_to_what_is_kept(tmp_path):
    base = write(tmp_path / "code", s_py="")
    assert keep(f"{base}/s.py:S", tmp_path / "elsewhere", tmp_path / "k").service == "s.py:S"
    assert keep(f"{base}/s.py:S", None, tmp_path / "k2").service == "s.py:S"


def test_the_hash_is_of_names_and_contents(tmp_path):
    base = write(tmp_path / "code", s_py="1")
    first = keep("s.py:S", base, tmp_path / "k1").hash
    assert keep("s.py:S", base, tmp_path / "k2").hash == first
    write(base, s_py="2")
    second = keep("s.py:S", base, tmp_path / "k3").hash
    (base / "s.py").rename(base / "t.py")
    third = keep("t.py:S", base, tmp_path / "k4").hash
    assert len({first, second, third}) == 3


def test_of_a_large_folder_only_what_is_imported_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_FILES", 5)
    base = write(
        tmp_path / "code", s_py="import a\nfrom pkg import b\nimport json", a_py="import c",
        c_py="", pkg____init___py="", other_py="",
    )  # fmt: skip
    (base / "pkg").mkdir(exist_ok=True)
    (base / "pkg" / "__init__.py").write_text("")
    (base / "pkg" / "b.py").write_text("")
    for i in range(9):
        (base / f"big{i}").write_text("")
    kept = keep("s.py:S", base, tmp_path / "kept")
    assert kept_files(tmp_path / "kept") == ["a.py", "c.py", "pkg/__init__.py", "pkg/b.py", "s.py"]
    assert "more than 5 files" in kept.notes[0]


def test_a_run_is_linked_and_keeps_its_weights(tmp_path):
    run = write(tmp_path / "runs" / "names", **{"config.json": "{}", "model.safetensors": "old"})
    kept = keep("names", tmp_path / "runs", tmp_path / "kept")
    assert kept.service == "names"
    target = tmp_path / "kept" / "names" / "model.safetensors"
    assert os.path.samefile(target, run / "model.safetensors")  # no disk was spent
    (run / "new.part").write_text("new")
    (run / "new.part").replace(run / "model.safetensors")  # as Descent writes: whole, renamed
    assert target.read_text() == "old"


def test_a_model_file_is_linked(tmp_path):
    file = write(tmp_path, **{"m.gguf": "x"}) / "m.gguf"
    kept = keep(str(file), None, tmp_path / "kept")
    assert kept.service == "m.gguf"
    assert os.path.samefile(tmp_path / "kept" / "m.gguf", file)


@pytest.mark.parametrize("service", ["gpt2", "json:dumps", "hf://a/b"])
def test_names_need_nothing(tmp_path, service):
    kept = keep(service, tmp_path / "base", tmp_path / "kept")
    assert (kept.service, kept_files(tmp_path / "kept")) == (service, [])


def test_a_module_of_the_folder_is_copied(tmp_path):
    base = write(tmp_path / "code", pkg__mod_py="class S: ...")
    kept = keep("pkg.mod:S", base, tmp_path / "kept")
    assert (kept.service, kept_files(tmp_path / "kept")) == ("pkg.mod:S", ["pkg/mod.py"])


def test_a_folder_that_is_no_run_is_not_walked(tmp_path):
    write(tmp_path / "photos", a="x", b="y")
    with pytest.raises(DeployError, match="neither a run nor a model"):
        keep("photos", tmp_path, tmp_path / "kept")


def test_a_run_of_very_many_files_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_RUN_FILES", 2)
    write(tmp_path / "run", **{"config.json": "", "a": "", "b": ""})
    with pytest.raises(DeployError, match="more than 2 files"):
        keep("run", tmp_path, tmp_path / "kept")


@pytest.mark.parametrize(
    ("service", "words"),
    [("none.py:S", "there is no file .*none.py"), ("./none", "there is no file or folder")],
)
def test_what_is_not_there_is_refused(tmp_path, service, words):
    with pytest.raises(DeployError, match=words):
        keep(service, tmp_path, tmp_path / "kept")


def test_commands_run_in_a_copy_of_the_specs_folder(tmp_path):
    base = write(tmp_path / "code", main_py="print()")
    keep(None, base, tmp_path / "kept")
    assert kept_files(tmp_path / "kept") == ["main.py"]


def test_what_goes_elsewhere(tmp_path):
    base = write(tmp_path / "code", s_py="", other_py="")
    write(base / "run", **{"config.json": "{}"})
    names = [str(p.relative_to(base)) for p in chosen_files(base, ["run"])]
    assert names == ["run/config.json"]
    assert len(chosen_files(base, ["s.py:S"])) == 3
