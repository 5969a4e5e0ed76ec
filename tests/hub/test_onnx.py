"""ONNX: valid by the onnx package, and onnxruntime's logits are ours, with and without a cache."""

import numpy as np
import pytest

from descent.hub import save
from descent.hub.formats.errors import FormatError
from tests.hub.tiny import ids, logits, tiny

FAMILIES = [
    ("gpt", {}),
    ("gpt", {"bias": False, "activation": "gelu", "tie": False}),
    ("gpt", {"activation": "relu", "head_bias": True}),
    ("llama", {}),
    ("llama", {"tie": True, "qkv_bias": True, "window": 5}),
    ("llama", {"activation": "gelu_tanh", "rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
    ("llama", {"head_dim": 16, "n_kv_head": 1}),
]


@pytest.mark.oracle
@pytest.mark.parametrize(("kind", "changes"), FAMILIES)
def test_onnxruntime_gives_the_same_logits(kind, changes, tmp_path):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    bundle = tiny(kind, **changes)
    expected = logits(bundle)
    save(bundle, tmp_path / "m.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"), full_check=True)
    session = runtime.InferenceSession(tmp_path / "m.onnx")
    np.testing.assert_allclose(session.run(None, {"input_ids": ids()})[0], expected, atol=1e-4)

    save(bundle, tmp_path / "c.onnx", "onnx-cache")
    onnx.checker.check_model(onnx.load(tmp_path / "c.onnx"), full_check=True)
    session = runtime.InferenceSession(tmp_path / "c.onnx")
    outputs = [o.name for o in session.get_outputs()]
    past = {
        i.name: np.zeros((2, i.shape[1], 0, i.shape[3]), np.float32)
        for i in session.get_inputs()
        if i.name != "input_ids"
    }
    found = []
    for begin, end in ((0, 5), (5, 6), (6, 12)):
        answers = session.run(None, {"input_ids": ids()[:, begin:end], **past})
        named = dict(zip(outputs, answers, strict=True))
        found.append(named.pop("logits"))
        past = {name.replace("present", "past_key_values"): a for name, a in named.items()}
    np.testing.assert_allclose(np.concatenate(found, 1), expected, atol=1e-4)


def test_what_it_has_no_place_for(tmp_path):
    with pytest.raises(FormatError, match="dynamic"):
        save(
            tiny("llama", rope_scaling={"rope_type": "dynamic", "factor": 2.0}), tmp_path / "m.onnx"
        )
    assert not list(tmp_path.iterdir())
