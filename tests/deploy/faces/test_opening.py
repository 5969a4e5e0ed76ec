"""Every way to name a service gives an instance; what is wrong is said with its place."""

from __future__ import annotations

import gc
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from descent.deploy.errors import HttpError
from descent.deploy.pool import LoadError
from descent.deploy.service import signature
from descent.deploy.service.opening import open_target


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    return write


SORTER = """
    class Sorter:
        def __init__(self, config):
            self.reverse = config.get("reverse", False)
        def predict(self, items: list[int]) -> list[int]:
            return sorted(items, reverse=self.reverse)
    class Named:
        def __init__(self, *, depth: int = 1): self.depth = depth
        def predict(self, x): return self.depth
    class Bare:
        def predict(self, x): return x
    class Outer:
        class Inner:
            def predict(self, x): return "inner"
    def double(x: int, times: int = 2) -> int:
        return x * times
    ready = Sorter({"reverse": True})
    NUMBER = 3
"""


def test_classes_functions_and_instances_of_a_file(write: Any, tmp_path: Path) -> None:
    file = write("sorter.py", SORTER)
    assert open_target(f"{file}:Sorter", {"reverse": True}).predict([1, 3, 2]) == [3, 2, 1]
    assert open_target("sorter.py:Sorter", folder=tmp_path).predict([2, 1]) == [1, 2]
    assert open_target(f"{file}:Named", {"depth": 4}).predict(None) == 4
    assert open_target(f"{file}:Bare").predict(5) == 5
    assert open_target(f"{file}:Outer.Inner").predict(5) == "inner"
    assert open_target(f"{file}:ready").predict([1, 2]) == [2, 1]
    doubled = open_target(f"{file}:double")
    made = signature.of(doubled)
    assert made.spread
    assert doubled.predict(**made.decode_json(b'{"x": 4}')) == 8


class Here:
    def predict(self, value):
        return value


def test_things_given_themselves() -> None:
    assert open_target(Here).predict(1) == 1
    assert open_target(Here()).predict(2) == 2
    assert open_target(lambda x: x + 1).predict(3) == 4
    with pytest.raises(LoadError, match="no `predict` method"):
        open_target(object())


@pytest.mark.parametrize(
    ("target", "config", "words"),
    [
        ("sorter.py:Missing", {}, "has no 'Missing'; it has Sorter, Named, Bare"),
        ("sorter.py:NUMBER", {}, r"NUMBER \(int\) has no `predict`"),
        ("nothing.py:Sorter", {}, "there is no file .*nothing.py"),
        ("sorter.py", {}, "sorter.py:Class"),
        ("sorter.py:", {}, "file.py:Class or package.module:Class"),
        ("sorter.py:Named", {"width": 1}, r"config does not fit Named\(depth.*width"),
        ("sorter.py:Bare", {"a": 1}, "config does not fit Bare"),
        ("no_such_package_here:Sorter", {}, "No module named 'no_such_package_here'"),
        ("model.pkl", {}, "pickles run code"),
    ],
)
def test_errors_teach(write: Any, tmp_path: Path, target: str, config: Any, words: str) -> None:
    write("sorter.py", SORTER)
    with pytest.raises(LoadError, match=words):
        open_target(target, config, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("import math\nx = (\n", 2, "never closed"),
        ("\nimport no_such_module\n", 2, "No module named 'no_such_module': install it"),
        ("def f():\n    return {}['a']\nf()\n", 2, "KeyError: 'a'"),
        ("import helper\n", 3, "ZeroDivisionError"),
    ],
)
def test_an_import_error_has_its_line(write: Any, text: str, line: int, words: str) -> None:
    write("helper.py", "\n\n1 / 0\n")
    file = write("broken.py", text)
    with pytest.raises(LoadError, match=rf"\.py, line {line}: .*{words}"):
        open_target(f"{file}:X")
    assert not [name for name in sys.modules if name.endswith(".broken")]


def test_two_versions_live_side_by_side(write: Any, tmp_path: Path) -> None:
    for version in ("one", "two"):
        write(f"{version}/helpers.py", f"VALUE = {version!r}\n")
        write(f"{version}/parts/__init__.py", "")
        write(f"{version}/parts/late.py", "import helpers\nLATE = helpers.VALUE + ' late'\n")
        write(
            f"{version}/serve.py",
            """
            from __future__ import annotations
            from dataclasses import dataclass
            import json
            import helpers
            @dataclass
            class Answer:
                said: str
            class Speaker:
                def predict(self, x: int) -> Answer:
                    from parts import late
                    import parts.late
                    assert parts.late is late
                    return Answer(helpers.VALUE + json.dumps(late.LATE))
            """,
        )
    one = open_target("serve.py:Speaker", folder=tmp_path / "one")
    two = open_target("serve.py:Speaker", folder=tmp_path / "two")
    assert signature.of(one).encode_json(one.predict(1)) == b'{"said":"one\\"one late\\""}'
    assert two.predict(1).said == 'two"two late"'
    assert open_target("parts.late:LATE.title", folder=tmp_path / "one").predict() == "One Late"
    assert "helpers" not in sys.modules
    assert not list(tmp_path.rglob("__pycache__"))
    root = type(one).__module__.partition(".")[0]
    assert f"{root}.helpers" in sys.modules
    del one
    gc.collect()
    assert f"{root}.helpers" not in sys.modules


def test_a_scikit_learn_estimator(write: Any) -> None:
    pytest.importorskip("sklearn")
    file = write(
        "iris.py",
        """
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression
        model = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
        """,
    )
    service = open_target(f"{file}:model")
    made = signature.of(service)
    body = made.decode_json(b'{"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}')
    assert made.encode_json(service.predict(body)) == b'{"predictions":[0,2]}'
    with pytest.raises(HttpError, match=r"instances\[0\]: .* at least 4"):
        made.decode_json(b'{"instances": [[5.1]]}')
    paths = [getattr(type(service), name).__endpoint__[0] for name in vars(type(service))
             if hasattr(getattr(type(service), name), "__endpoint__")]  # fmt: skip
    assert "/predict_proba" in paths
    probabilities = service._predict_proba(body)["predictions"]
    assert probabilities.shape == (2, 3)
    assert made.examples == [{"instances": [[1, 1, 1, 1]]}]
    empty = made.decode_json(b'{"instances": []}')
    with pytest.raises(HttpError) as error:
        service.predict(empty)
    assert error.value.field == "instances"


def test_pytorch_and_our_own_modules(write: Any) -> None:
    pytest.importorskip("torch")
    file = write(
        "nets.py",
        """
        import torch, descent as dc
        torch.manual_seed(0)
        linear = torch.nn.Linear(2, 1)
        with torch.no_grad():
            linear.weight.fill_(2.0); linear.bias.fill_(1.0)
        words = torch.nn.Sequential(torch.nn.Embedding(3, 2), torch.nn.Linear(2, 1))
        ours = dc.nn.Linear(2, 1)
        """,
    )
    linear = open_target(f"{file}:linear")
    made = signature.of(linear)
    body = made.decode_json(b'{"instances": [[1, 2]]}')
    assert made.encode_json(linear.predict(body)) == b'{"predictions":[[7.0]]}'
    with pytest.raises(HttpError, match="instances: mat1 and mat2"):
        linear.predict(made.decode_json(b'{"instances": [[1, 2, 3]]}'))
    words = open_target(f"{file}:words")
    assert words.predict({"instances": [[0, 2]]})["predictions"].shape == (1, 2, 1)
    ours = open_target(f"{file}:ours")
    assert signature.of(ours).encode_json(ours.predict(body)).startswith(b'{"predictions":[[')
    with pytest.raises(LoadError, match=r"config\.dtype"):
        open_target(f"{file}:linear", {"dtype": "float33"})


def test_an_asgi_application(write: Any) -> None:
    file = write(
        "web.py",
        """
        from fastapi import FastAPI
        app = FastAPI(title="Web")
        @app.post("/items/{n}")
        def item(n: int, body: dict[str, int]) -> list[int]: return [n]
        async def raw(scope, receive, send): ...
        """,
    )
    made = signature.of(open_target(f"{file}:app"))
    assert "/items/{n}" in made.paths
    assert made.input_type == "*/*"
    assert callable(open_target(f"{file}:raw").asgi)
