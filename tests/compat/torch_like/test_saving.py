"""torch.save and torch.load without pickle: the same structure comes back, foreign files are refused."""

import io
import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import descent
from descent import nn
from descent.compat.torch_like.saving import load, save


def round_trip(value):
    buffer = io.BytesIO()
    save(value, buffer)
    buffer.seek(0)
    return load(buffer)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.booleans(), inner)
    ),
    max_leaves=12,
)


@given(plain)
def test_plain_structures_come_back(value):
    got = round_trip(value)
    assert got == value
    assert repr(got) == repr(value)  # tuples stay tuples, True is not 1


def test_numbers_that_json_lacks():
    a, b, c = round_trip([math.inf, -math.inf, math.nan])
    assert (a, b) == (math.inf, -math.inf)
    assert math.isnan(c)


@pytest.mark.parametrize(
    "kind", ["float32", "float64", "float16", "int64", "int32", "uint8", "bool"]
)
def test_tensors_of_every_type_and_shape(kind):
    dtype = getattr(descent, kind)
    tensors = {
        "a.b": descent.arange(6).view(2, 3).to(dtype),
        "a": {"b": descent.ones(2, 3, dtype=dtype).t()},
        "scalar": descent.tensor(1, dtype=dtype),
        "empty": descent.zeros(0, 4, dtype=dtype),
    }
    got = round_trip(tensors)
    assert list(got) == list(tensors)
    for ours, theirs in [(got[k], tensors[k]) for k in ("a.b", "scalar", "empty")] + [
        (got["a"]["b"], tensors["a"]["b"])
    ]:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_tied_tensors_stay_one_and_parameters_stay_parameters():
    weight = nn.Parameter(descent.randn(3, 2))
    got = round_trip(OrderedDict(a=weight, b=weight, c=descent.ones(2).requires_grad_()))
    assert type(got) is OrderedDict
    assert isinstance(got["a"], nn.Parameter)
    assert got["a"].array.ctypes.data == got["b"].array.ctypes.data
    assert got["c"].requires_grad


def test_a_loaded_tensor_can_be_changed():
    t = round_trip(descent.zeros(3))
    t += 1
    assert t.tolist() == [1, 1, 1]


def test_an_object_of_another_class_is_refused_where_it_stands(tmp_path):
    path = tmp_path / "model.pt"
    save({"a": 1}, path)
    with pytest.raises(TypeError, match=r"Linear \(at model\.0\)"):
        save({"model": [nn.Linear(2, 2)]}, path)
    assert load(path) == {"a": 1}  # the file that was there is whole


def test_the_file_is_safetensors_for_every_reader(tmp_path):
    model = nn.Linear(3, 2)
    save(model.state_dict(), tmp_path / "model.pt")
    arrays = load_file(tmp_path / "model.pt")
    np.testing.assert_array_equal(arrays["weight"], model.weight.detach().numpy())


def test_safetensors_of_another_program(tmp_path):
    save_file({"x": np.arange(3)}, tmp_path / "other.safetensors")
    assert load(str(tmp_path / "other.safetensors"))["x"].tolist() == [0, 1, 2]


@pytest.mark.oracle
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_that_pytorch_pickled_are_read_other_objects_refused(tmp_path, zipped):
    path = tmp_path / "model.pt"
    torch.save({"x": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    assert load(path)["x"].tolist() == [1.0, 1.0]
    torch.save(torch.nn.Linear(2, 2), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(RuntimeError, match=r"model\.pt.*Linear.*nothing is executed"):
        load(path)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff" * 40, b"\x10" + b"\0" * 7 + b'{"a":'])
def test_damaged_files(tmp_path, data):
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match="can't be read as safetensors"):
        load(path)


def test_a_structure_that_names_an_absent_tensor(tmp_path):
    path = tmp_path / "model.pt"
    structure = '{"kind": "tensor", "name": "y", "requires_grad": false}'
    metadata = {"format": "descent-object.v1", "structure": structure}
    save_file({"x": np.zeros(1)}, path, metadata)
    with pytest.raises(RuntimeError, match="damaged: its structure names 'y'"):
        load(path)


def test_a_missing_folder_and_a_missing_file(tmp_path):
    with pytest.raises(RuntimeError, match="Parent directory"):
        save({}, tmp_path / "no" / "model.pt")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "model.pt")
