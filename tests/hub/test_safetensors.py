"""safetensors: equal to the reference library both ways; every lie in a header is refused."""

import json

import numpy as np
import pytest
import safetensors.numpy

from descent.data.files import write_atomically
from descent.hub.formats.errors import FormatError
from descent.hub.formats.mapped import MappedFile
from descent.hub.formats.safetensors import NUMPY_KINDS, read_safetensors, safetensors_parts


def _read(path):
    return read_safetensors(MappedFile(path))


def test_the_reference_library_reads_what_is_written_and_the_other_way_round(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        k: rng.integers(0, 100, (3, 5)).astype(d) for k, d in NUMPY_KINDS.items() if k != "BF16"
    }
    arrays["scalar"], arrays["empty"] = np.array(2.5), np.zeros((0, 4), np.float32)
    kinds = {k: k if k in NUMPY_KINDS else {"scalar": "F64", "empty": "F32"}[k] for k in arrays}
    tensors = {k: (kinds[k], a.shape) for k, a in arrays.items()}
    parts = safetensors_parts(tensors, iter(arrays.values()), {"a": "b"})
    write_atomically(tmp_path / "ours", parts)
    theirs = safetensors.numpy.load_file(tmp_path / "ours")
    safetensors.numpy.save_file(arrays, tmp_path / "theirs", {"a": "b"})
    for path in ("ours", "theirs"):
        mine, metadata = _read(tmp_path / path)
        assert metadata == {"a": "b"}
        assert set(mine) == set(arrays) == set(theirs)
        for name, array in arrays.items():
            np.testing.assert_array_equal(mine[name].read(False), array)
            np.testing.assert_array_equal(theirs[name], array)
            assert mine[name].read(False).dtype == array.dtype


def _file(path, header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


def _tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        ({"a": _tensor(offsets=(0, 9))}, 9, "takes 8 bytes"),
        ({"a": _tensor(shape=[1 << 62, 1 << 62], offsets=(0, 8))}, 8, "takes"),
        ({"a": _tensor(shape=[1 << 40], offsets=(0, 4 << 40))}, 8, "ends at byte"),
        ({"a": _tensor(shape=[-2])}, 8, "list of counts"),
        ({"a": _tensor(shape=[2.0])}, 8, "list of counts"),
        ({"a": _tensor(shape=[True, 2])}, 8, "list of counts"),
        ({"a": _tensor(dtype="Q4")}, 8, "dtype 'Q4'"),
        ({"a": _tensor(dtype=["F32"])}, 8, "dtype"),
        ({"a": {"dtype": "F32"}}, 8, "exactly dtype"),
        ({"a": 3}, 8, "exactly dtype"),
        ({"a": _tensor(), "b": _tensor()}, 8, "overlaps"),
        ({"a": _tensor(), "b": _tensor(offsets=(4, 12))}, 12, "overlaps"),
        ({"a": _tensor(), "b": _tensor(offsets=(12, 20))}, 20, "hole"),
        ({"a": _tensor()}, 12, "the tensors end here"),
        ({"a": _tensor(shape=[2] * 40)}, 8, "axes"),
        ({"__metadata__": {"a": 1}}, 0, "__metadata__"),
        (b'{"a": 1, "a": 1}', 0, "twice"),
        (b"[1]", 0, "JSON object"),
        (b"{" * 50_000, 0, "not JSON"),
        (b"\xff\xfe", 0, "not JSON"),
    ],
)
def test_lies_are_refused(header, data, said, tmp_path):
    with pytest.raises(FormatError, match=said):
        _read(_file(tmp_path / "f", header, bytes(data)))


@pytest.mark.parametrize("length", [1 << 63, 1 << 40, 200_000_000, 100, 0])
def test_a_length_that_lies_costs_nothing(length, tmp_path):
    with pytest.raises(FormatError):
        _read(_file(tmp_path / "f", {"a": _tensor()}, bytes(8), length=length))


def test_numbers_at_odd_places_are_read(tmp_path):
    header = json.dumps({"a": _tensor(), "b": _tensor("U8", (1,), (8, 9))}).encode()
    header += b" " * (8 - len(header) % 8 + 1)  # so that the floats lie at an odd byte
    path = _file(tmp_path / "f", header, np.array([1, 2], "<f4").tobytes() + b"\7")
    tensors, _ = _read(path)
    array = tensors["a"].read(False)
    np.testing.assert_array_equal(array, [1, 2])
    assert array.flags.aligned
    assert tensors["b"].read(False)[0] == 7


@pytest.mark.parametrize("content", [b"", b"abc", bytes(8)])
def test_files_too_short(content, tmp_path):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(FormatError):
        _read(tmp_path / "f")


def test_folders_and_missing_files(tmp_path):
    with pytest.raises(FormatError, match="folder"):
        MappedFile(tmp_path)
    with pytest.raises(FormatError, match="no such file"):
        MappedFile(tmp_path / "x")
