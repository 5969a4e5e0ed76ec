"""PyTorch's files, read without executing anything."""

import io
import pickle  # to make hostile files with, never to read them
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from descent.hub import load
from descent.hub.formats.errors import FormatError
from descent.hub.formats.mapped import MappedFile
from descent.hub.formats.pickled import PickleError, interpret
from descent.hub.formats.pytorch import read_pytorch, read_state_dict
from descent.hub.weights import Stored
from tests.hub.tiny import ids, logits, tiny

torch = pytest.importorskip("torch")
FORMS = [True, False]


def _same(mine, theirs):
    if isinstance(theirs, torch.Tensor):
        expected = theirs.detach()
        expected = expected.float() if expected.dtype == torch.bfloat16 else expected
        np.testing.assert_array_equal(mine.read(False), expected.numpy())
        assert mine.shape == tuple(theirs.shape)
    elif isinstance(theirs, dict):
        assert list(mine) == list(theirs)
        for key, value in theirs.items():
            _same(mine[key], value)
    elif isinstance(theirs, (list, tuple)):
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs):
            _same(a, b)
    else:
        assert mine == theirs or isinstance(theirs, torch.dtype)


@pytest.mark.parametrize("new", FORMS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_everything_a_checkpoint_holds(new, protocol, tmp_path):
    a = torch.randn(4, 6)
    value = OrderedDict(
        a=a, part=a[1:3, ::2], turned=a.t(), again=a, half=a.half(), bf=a.bfloat16(),
        double=a.double(), parameter=torch.nn.Parameter(a), empty=torch.zeros(0, 3),
        scalar=torch.tensor(3.5), size=torch.Size([2, 3]), dtype=torch.float32,
        plain={"x": 1, "y": [1.5, "t", None, True, (1, 2), -7, 2**70, "ü" * 300], 3: {4, 5}},
        raw=b"bytes", **{d: torch.arange(5, dtype=getattr(torch, d)) for d in
                         ("int64", "int32", "int16", "int8", "uint8")},
        bool=torch.tensor([True, False]),
    )  # fmt: skip
    path = tmp_path / "f.pt"
    torch.save(value, path, _use_new_zipfile_serialization=new, pickle_protocol=protocol)
    _same(read_pytorch(MappedFile(path)), value)


@pytest.mark.parametrize("new", FORMS)
def test_state_dicts_of_modules_and_optimisers(new, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    path = tmp_path / "f.pt"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=new)
    mine = read_state_dict(MappedFile(path))
    _same(mine, dict(model.state_dict()))
    torch.save(optimizer.state_dict(), path, _use_new_zipfile_serialization=new)
    _same(read_pytorch(MappedFile(path)), optimizer.state_dict())


@pytest.mark.parametrize("new", FORMS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_scripts_load_them_too(new, in_memory, tmp_path):
    """`torch.load` of a script that `descent run` runs."""
    from descent.compat.torch_like import saving

    model = torch.nn.Linear(3, 4)
    torch.save({"model": model.state_dict(), "step": (3, "x")}, tmp_path / "f.pt",
               _use_new_zipfile_serialization=new)  # fmt: skip
    source = io.BytesIO((tmp_path / "f.pt").read_bytes()) if in_memory else tmp_path / "f.pt"
    found = saving.load(source)
    assert found["step"] == (3, "x")
    assert isinstance(found["model"], OrderedDict)
    np.testing.assert_array_equal(found["model"]["weight"].array, model.weight.detach().numpy())
    torch.save(model, tmp_path / "g.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(RuntimeError, match="Linear"):
        saving.load(tmp_path / "g.pt")


def _nanogpt(bundle, prefix):
    """A checkpoint as nanoGPT's train.py writes it."""
    names = {k: v for k, v in bundle.build().state_dict().items()}
    state = {
        prefix + ("" if n.startswith("lm_head") else "transformer.") + n: torch.from_numpy(
            np.array(t.array))
        for n, t in names.items()
    }  # fmt: skip
    args = {
        k: bundle.config[k] for k in ("n_layer", "n_head", "n_embd", "block_size", "vocab_size")
    }
    state[prefix + "transformer.h.0.attn.bias"] = torch.ones(1, 1, 32, 32)
    return {
        "model": state, "optimizer": {}, "iter_num": 7, "best_val_loss": torch.tensor(1.5),
        "model_args": {**args, "bias": bundle.config.get("bias", True), "dropout": 0.0},
        "config": {"out_dir": "out"},
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
@pytest.mark.parametrize("bias", [True, False])
def test_nanogpt(prefix, bias, tmp_path):
    bundle = tiny("gpt", bias=bias, activation="gelu")
    torch.save(_nanogpt(bundle, prefix), tmp_path / "ckpt.pt")
    back = load(tmp_path / "ckpt.pt")
    assert back.about["step"] == 7
    np.testing.assert_array_equal(logits(back), logits(bundle))


def test_llama2c_checkpoints_are_interleaved(tmp_path):
    from descent.hub.formats.checkpoints import _LAYER
    from descent.hub.formats.rotation import interleaved

    bundle = tiny("llama", tie=True)
    theirs = {ours: name for name, ours in _LAYER.items()}
    state = {}
    for name, array in bundle.weights.items():
        parts = name.split(".")
        if parts[0] == "layers":
            rows = {"q_proj": interleaved(4, 8), "k_proj": interleaved(2, 8)}.get(parts[-2])
            array = array if rows is None else array[rows]
            name = f"layers.{parts[1]}.{theirs['.'.join(parts[2:-1])]}.weight"
        elif parts[0] == "embed":
            state["output.weight"] = torch.from_numpy(array)
            name = "tok_embeddings.weight"
        state[name] = torch.from_numpy(np.array(array))
    state["freqs_cos"] = torch.zeros(32, 4)
    args = {"dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 70,
            "max_seq_len": 32, "multiple_of": 32, "dropout": 0.0}  # fmt: skip
    torch.save({"model": state, "model_args": args}, tmp_path / "ckpt.pt")
    np.testing.assert_array_equal(logits(load(tmp_path / "ckpt.pt")), logits(bundle))


def test_folders_with_pickled_weights(tmp_path):
    from descent.hub import save

    bundle = tiny("llama")
    save(bundle, tmp_path)
    mine = load(tmp_path)
    state = {
        "model." * (not n.startswith("lm_head"))
        + n.replace("attn_norm", "input_layernorm").replace("mlp_norm", "post_attention_layernorm")
        .replace(".attn.", ".self_attn.").replace("embed.", "embed_tokens."):
        torch.from_numpy(np.array(a)) for n, a in mine.weights.items()
    }  # fmt: skip
    expected = logits(mine, ids())
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    np.testing.assert_array_equal(logits(load(tmp_path)), expected)


# -- hostile files -------------------------------------------------------------------------------


class _Runs:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("new", FORMS)
def test_nothing_is_executed(new, tmp_path, capsys):
    torch.save({"a": _Runs()}, tmp_path / "f.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(FormatError, match=r"builtin.*print.*nothing is executed"):
        read_pytorch(MappedFile(tmp_path / "f.pt"))
    torch.save(torch.nn.Linear(2, 2), tmp_path / "g.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(FormatError, match="Linear"):
        read_pytorch(MappedFile(tmp_path / "g.pt"))
    assert capsys.readouterr().out == ""


def _archive(tmp_path, data, storages=(("0", 16),), compress=zipfile.ZIP_STORED):
    path = tmp_path / "f.pt"
    with zipfile.ZipFile(path, "w", compress) as archive:
        archive.writestr("f/data.pkl", data)
        for key, size in storages:
            archive.writestr(f"f/data/{key}", bytes(size))
    return MappedFile(path)


def _tensor_pickle(count=4, key="0", offset=0, shape=(2, 2), strides=(2, 1)):
    """A pickle of one tensor, written by hand."""
    out = io.BytesIO()
    number = pickle.dumps(count, 2)[2:-1]
    out.write(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n")
    out.write(b"FloatStorage\nX" + len(key).to_bytes(4, "little") + key.encode())
    out.write(b"X\x03\x00\x00\x00cpu" + number + b"tQ")
    for value in (offset, shape, strides):
        out.write(pickle.dumps(value, 2)[2:-1])
    out.write(b"\x89ccollections\nOrderedDict\n)RtR.")
    return out.getvalue()


def test_the_hand_made_pickle_is_a_tensor(tmp_path):
    value = read_pytorch(_archive(tmp_path, _tensor_pickle()))
    assert isinstance(value, Stored)
    np.testing.assert_array_equal(value.read(False), np.zeros((2, 2)))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (1 << 40, 1), "strides": (0, 0)},  # one number shown a trillion times
        {"shape": (3, 2)},
        {"offset": 3},
        {"offset": -1},
        {"strides": (-1, 1)},
        {"strides": (1 << 70, 1)},
        {"shape": (2,)},
        {"count": 1 << 62},
        {"count": 5},
        {"count": -4},
        {"key": "../../etc/passwd"},
        {"key": "1"},
        {"shape": ("a", 2)},
    ],
)
def test_tensors_that_lie(change, tmp_path):
    with pytest.raises(FormatError):
        read_pytorch(_archive(tmp_path, _tensor_pickle(**change))).read(False)


def test_archives_that_are_not_torchs(tmp_path):
    for data, said in [(b"", "no whole|ends|needs"), (b"\x80\x02N", "needs 1 bytes")]:
        with pytest.raises(FormatError, match=said):
            read_pytorch(_archive(tmp_path, data))
    with pytest.raises(FormatError, match="compressed"):
        read_pytorch(_archive(tmp_path, _tensor_pickle(), compress=zipfile.ZIP_DEFLATED))
    (tmp_path / "z.pt").write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(FormatError, match="archive is damaged"):
        read_pytorch(MappedFile(tmp_path / "z.pt"))


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02" + b"(" * 100_000 + b".",  # marks alone
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",  # a list in a list in a list …
        b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little") + b".",  # bytes without end
        b"\x80\x02\x8b" + b"\xff\xff\xff\x7f.",  # a number of 2 GB
        b"\x80\x02j\xff\xff\xff\xff.",  # a memo never written
        b"\x80\x02Nr\xff\xff\xff\xffj\xfe\xff\xff\xff.",
        b"I" + b"9" * 10_000 + b"\n.",  # a number of ten thousand digits
        b"\x80\x02}(]Nu.",  # a list as a key
        b"\x80\x02}((NtNu.",
        b"\x80\x02N0N0.",
        b"\x80\x02}NNs(u.0",
        b"\x80\x02)Nb.",  # state of a tuple
        b"\x80\x02c__builtin__\neval\n.",
        b"\x80\x02NN\x93.",
        b"\x80\x02N)R.",
        b"\xff.",
    ],
)
def test_pickles_that_want_too_much(program):
    try:
        value, _ = interpret(program, {})
    except PickleError:
        return
    assert value is None or type(value) in (list, dict)


def test_doubling_costs_no_more_than_it_says():
    """A list of itself twice, sixty times over: 2⁶⁰ items to whoever walks it, sixty lists here."""
    body = b"]q\x00" + b"".join(b"0](h%ch%ceq%c" % (i, i, i + 1) for i in range(60))
    value, _ = interpret(b"\x80\x02" + body + b".", {})
    assert len(value) == 2
    assert value[0] is value[1]
