"""gpt-2-simple's README, unchanged but for the import, and its users' pains, gone."""

import json
import shutil
import textwrap
import time

import numpy as np
import pytest

import descent.compat.gpt_2_simple as gpt2
import descent.random
from descent.goals.folder import RunError
from descent.models.gpt import GPT, GPTConfig
from tests.data.known import known
from tests.hub.test_openai import _openai, write_bundle

CORPUS = "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind\n" * 20


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """models/124M: a tiny GPT-2 with the real tokenizer, the seven files OpenAI published."""
    from descent.hub import Bundle

    top = tmp_path_factory.mktemp("gpt2")
    folder = top / "models" / "124M"
    folder.mkdir(parents=True)
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copyfile(known(f"gpt2-{name}"), folder / name)
    descent.random.manual_seed(0)
    config = dict(vocab_size=50257, block_size=48, n_layer=1, n_head=2, n_embd=16)
    bundle = Bundle.of("gpt", config, GPT(GPTConfig(**config)))
    hparams = {"n_vocab": 50257, "n_ctx": 48, "n_embd": 16, "n_head": 2, "n_layer": 1}
    (folder / "hparams.json").write_text(json.dumps(hparams))
    write_bundle(folder / "model.ckpt", _openai(bundle))
    (folder / "model.ckpt.meta").write_bytes(b"")
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt"\n')
    return top


@pytest.fixture
def here(models, tmp_path, monkeypatch):
    """A working folder as a user has it: models/, a text, nothing else."""
    (tmp_path / "models").symlink_to(models / "models")
    (tmp_path / "shakespeare.txt").write_text(CORPUS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(models, tmp_path_factory):
    """A session after the README's finetune."""
    import os

    folder, before = tmp_path_factory.mktemp("trained"), os.getcwd()
    (folder / "models").symlink_to(models / "models")
    (folder / "shakespeare.txt").write_text(CORPUS)
    os.chdir(folder)
    try:
        sess = gpt2.start_tf_sess()
        gpt2.finetune(sess, "shakespeare.txt", steps=12, learning_rate=0.01, print_every=5,
                      accumulate_gradients=1, sample_length=10)  # fmt: skip
        yield sess, folder
    finally:
        os.chdir(before)


README = """
import {module} as gpt2
import os

model_name = "124M"
if not os.path.isdir(os.path.join("models", model_name)):
    gpt2.download_gpt2(model_name=model_name)

file_name = "shakespeare.txt"

sess = gpt2.start_tf_sess()
gpt2.finetune(sess,
              file_name,
              model_name=model_name,
              steps=3)

gpt2.generate(sess, length=20)

sess = gpt2.start_tf_sess()
gpt2.load_gpt2(sess)

gpt2.generate(sess, length=20)

single_text = gpt2.generate(sess, length=20, return_as_list=True)[0]
print(single_text)
gpt2.generate_to_file(sess, destination_path="gen.txt", length=20, nsamples=2, batch_size=2)
"""


def test_the_readme_runs_with_the_import_changed(here, capsys) -> None:
    code = README.format(module="descent.compat.gpt_2_simple")
    exec(compile(textwrap.dedent(code), "README", "exec"), {})
    out = capsys.readouterr().out
    assert "[3 | " in out
    assert "loss=" in out
    assert "avg=" in out
    assert (here / "gen.txt").read_text().count("=" * 20) == 2
    assert (here / "checkpoint/run1/model.safetensors").is_file()


def test_functions_have_gpt_2_simple_s_parameters_and_defaults() -> None:
    import inspect

    want = {
        "download_gpt2": "model_dir='models', model_name='124M'",
        "is_gpt2_downloaded": "model_dir='models', model_name='124M'",
        "start_tf_sess": "threads=-1, server=None",
        "reset_session": "sess, threads=-1, server=None",
        "finetune": "sess, dataset, steps=-1, model_name='124M', model_dir='models', combine=50000, "
        "batch_size=1, learning_rate=0.0001, accumulate_gradients=5, restore_from='latest', "
        "run_name='run1', checkpoint_dir='checkpoint', sample_every=100, sample_length=1023, "
        "sample_num=1, multi_gpu=False, save_every=1000, print_every=1, max_checkpoints=1, "
        "use_memory_saving_gradients=False, only_train_transformer_layers=False, "
        "optimizer='adam', overwrite=False, reuse=False",
        "load_gpt2": "sess, checkpoint='latest', run_name='run1', checkpoint_dir='checkpoint', "
        "model_name=None, model_dir='models', multi_gpu=False, reuse=False",
        "generate": "sess, run_name='run1', checkpoint_dir='checkpoint', model_name=None, "
        "model_dir='models', sample_dir='samples', return_as_list=False, truncate=None, "
        "destination_path=None, sample_delim='====================\\n', prefix=None, seed=None, "
        "nsamples=1, batch_size=1, length=1023, temperature=0.7, top_k=0, top_p=0.0, "
        "include_prefix=True",
        "encode_csv": "csv_path, out_path='csv_encoded.txt', header=True, "
        "start_token='<|startoftext|>', end_token='<|endoftext|>'",
        "encode_dataset": "file_path, model_dir='models', out_path='text_encoded.npz', "
        "model_name='124M', combine=50000",
        "copy_checkpoint_to_gdrive": "run_name='run1', copy_folder=False",
    }  # fmt: skip
    for name, parameters in want.items():
        signature = inspect.signature(getattr(gpt2, name))
        shown = [
            p.name if p.default is p.empty else f"{p.name}={p.default!r}"
            for p in signature.parameters.values()
            if p.kind != p.VAR_KEYWORD
        ]
        assert ", ".join(shown) == parameters, name


def test_the_thousandth_call_is_as_fast_and_as_small_as_the_first(trained) -> None:
    """Each call of gpt-2-simple's generate adds nodes to a graph (#105, #144, #198)."""
    import gc
    import resource

    sess, _ = trained
    once = dict(length=12, prefix="To be", return_as_list=True)
    counts, times, peaks = [], [], []
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(40):
            gpt2.generate(sess, **once)
        times.append(time.perf_counter() - began)
        gc.collect()
        counts.append(len(gc.get_objects()))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert abs(counts[2] - counts[1]) < 200  # nothing is kept from call to call
    assert peaks[2] - peaks[1] < 20_000  # kB


def test_a_generation_ends_at_a_token_or_text(trained) -> None:
    """It could not stop at a token (#244)."""
    sess, _ = trained
    completer = sess.completer
    end = completer.tokenizer.special_tokens["<|endoftext|>"]
    text = gpt2.generate(
        sess, length=40, return_as_list=True, logit_bias={end: 100.0}, min_tokens=3
    )
    assert len(completer.tokenizer.encode(text[0])) <= 4
    plain = gpt2.generate(sess, length=40, seed=1, return_as_list=True)[0]
    cut = plain[len(plain) // 2 :][:3]
    assert (
        gpt2.generate(sess, length=40, seed=1, truncate=cut, return_as_list=True)[0]
        == plain[: plain.index(cut)]
    )


@pytest.mark.parametrize("truncate", [None, "\n", "never there"])
def test_prefix_include_prefix_and_truncate_are_independent(trained, truncate) -> None:
    """include_prefix=False was ignored without truncate; the prefix came back trimmed (#5, #153)."""
    sess, _ = trained
    prefix = "  Whether 'tis  nobler "
    how = dict(length=30, seed=3, truncate=truncate, prefix=prefix, return_as_list=True)
    both = gpt2.generate(sess, include_prefix=True, **how)[0]
    without = gpt2.generate(sess, include_prefix=False, **how)[0]
    assert both.startswith(prefix)  # exactly
    assert both.removeprefix(prefix).lstrip("\n") == without
    if truncate:
        assert truncate not in without


def test_a_prefix_beyond_the_context_is_a_clear_error(trained) -> None:
    """prefix + length > 1024 crashed (#48, #274)."""
    sess, _ = trained
    with pytest.raises(ValueError, match=r"the prefix has \d+ tokens.*context 48"):
        gpt2.generate(sess, prefix=CORPUS, length=1023)
    long = "To be or not to be that is the question whether it is nobler"
    assert gpt2.generate(sess, prefix=long, length=1023, return_as_list=True)[0].startswith(long)


def test_blank_samples_are_drawn_again(trained, monkeypatch) -> None:
    """Blank outputs (#18)."""
    from descent.compat.gpt_2_simple import writing

    sess, _ = trained
    real, calls = writing._streams, []

    def streams(completer, prompts, sampling, n):
        calls.append(n)
        return [" \n"] * n if len(calls) == 1 else real(completer, prompts, sampling, n)

    monkeypatch.setattr(writing, "_streams", streams)
    texts = gpt2.generate(sess, length=20, nsamples=3, return_as_list=True)
    assert calls[:2] == [3, 3]
    assert all(text.strip() for text in texts)


def test_any_number_of_samples_whatever_the_batch_size(trained) -> None:
    """nsamples % batch_size == 0 was asserted."""
    sess, _ = trained
    texts = gpt2.generate(sess, length=8, nsamples=3, batch_size=2, return_as_list=True)
    assert len(texts) == 3
    same = gpt2.generate(sess, length=8, nsamples=3, seed=5, return_as_list=True)
    assert same == gpt2.generate(
        sess, length=8, nsamples=3, batch_size=3, seed=5, return_as_list=True
    )


def test_many_models_live_in_one_process(trained) -> None:
    """Switching models needed a restart of Python (#114, #140)."""
    sess, folder = trained
    other = gpt2.start_tf_sess()
    gpt2.load_gpt2(other, model_name="124M", model_dir=str(folder / "models"))
    how = dict(length=12, seed=1, return_as_list=True)
    tuned, base = (
        gpt2.generate(sess, **how),
        gpt2.generate(other, model_name="124M", model_dir=str(folder / "models"), **how),
    )
    assert tuned != base
    assert gpt2.generate(sess, **how) == tuned
    sess2 = gpt2.reset_session(other)
    assert sess2.completer is None


def test_resume_goes_on_with_the_same_bits(here) -> None:
    """Adam's state and the generator were lost at every resume (#85, #194)."""
    from safetensors.numpy import load_file

    how = dict(batch_size=2, accumulate_gradients=2, learning_rate=1e-3, sample_every=1000,
               sample_length=4, compile=False, schedule="constant", warmup=0.0)  # fmt: skip
    sess = gpt2.start_tf_sess()
    gpt2.finetune(sess, "shakespeare.txt", steps=8, run_name="whole", **how)
    gpt2.finetune(sess, "shakespeare.txt", steps=4, run_name="parts", **how)
    gpt2.finetune(gpt2.start_tf_sess(), "shakespeare.txt", steps=4, run_name="parts", **how)
    one = load_file(here / "checkpoint/whole/checkpoints/step-00000008.safetensors")
    two = load_file(here / "checkpoint/parts/checkpoints/step-00000008.safetensors")
    for name, array in one.items():
        np.testing.assert_array_equal(two[name], array, err_msg=name)


def test_csv_npz_and_a_text_shorter_than_the_context(here, capsys) -> None:
    """A text below one context was an assertion error; an empty CSV row an IndexError."""
    (here / "t.csv").write_text('text\n"first tweet"\n\n"second, tweet"\n')
    gpt2.encode_csv("t.csv")
    assert (here / "csv_encoded.txt").read_text() == (
        "<|startoftext|>first tweet<|endoftext|>\n<|startoftext|>second, tweet<|endoftext|>\n"
    )
    gpt2.encode_dataset("shakespeare.txt")
    rows = np.load(here / "text_encoded.npz")
    assert rows["arr_0"][-1] == 50256
    short = dict(steps=2, accumulate_gradients=1, sample_length=4)
    gpt2.finetune(gpt2.start_tf_sess(), "text_encoded.npz", run_name="npz", **short)
    gpt2.finetune(gpt2.start_tf_sess(), "t.csv", run_name="csv", **short)
    assert "shorter than a window" in capsys.readouterr().out


def test_validation_schedule_clipping_and_early_stop_are_there() -> None:
    """None of them was (#85)."""
    from descent.train.finetune import FinetuneSettings

    s = FinetuneSettings()
    assert s.val_fraction > 0
    assert s.clip == 1.0
    assert s.schedule == "cosine"
    assert s.patience


def test_restore_from_and_errors(here) -> None:
    sess, quick = gpt2.start_tf_sess(), dict(accumulate_gradients=1, sample_length=4)
    gpt2.finetune(sess, "shakespeare.txt", steps=2, **quick)
    gpt2.finetune(sess, "shakespeare.txt", steps=1, restore_from="fresh", **quick)
    gpt2.finetune(
        sess, "shakespeare.txt", steps=1, restore_from="checkpoint/run1", run_name="b", **quick
    )
    with pytest.raises(ValueError, match="restore_from"):
        gpt2.finetune(sess, "shakespeare.txt", steps=1, restore_from="nowhere", **quick)
    with pytest.raises(FileNotFoundError, match="download_gpt2"):
        gpt2.finetune(sess, "shakespeare.txt", steps=1, model_name="355M", run_name="c", **quick)
    with pytest.raises(RunError, match="no run folder"):
        gpt2.load_gpt2(sess, run_name="nothing")
    with pytest.raises(ValueError, match="adam"):
        gpt2.finetune(sess, "shakespeare.txt", optimizer="rmsprop")
    with pytest.raises(ValueError, match="unknown model"):
        gpt2.download_gpt2(model_name="5M")
    assert gpt2.is_gpt2_downloaded()
    assert not gpt2.is_gpt2_downloaded(model_name="355M")


def test_drive_outside_colab_says_so() -> None:
    with pytest.raises(RuntimeError, match="Colab"):
        gpt2.mount_gdrive()
    for call in (gpt2.copy_checkpoint_to_gdrive, gpt2.copy_checkpoint_from_gdrive):
        with pytest.raises(RuntimeError, match="not mounted"):
            call()
