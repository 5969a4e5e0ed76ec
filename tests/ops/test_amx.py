"""Products on the matrix unit: as written, as machine code for a processor that has it, compiled
over a simulation of its instructions, and on the unit itself where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from descent.kernel import amx as unit
from descent.ops import amx, amx_trial
from descent.ops.tiles import ADD, BIAS, PLAIN, WIDTH
from tests.ops import test_narrow_products as narrow

pytestmark = pytest.mark.skipif(WIDTH != 32, reason="panels of 32 columns: AVX-512")
SHAPES = [(1, 1, 1), (3, 0, 5), (33, 36, 40), (5, 70, 33)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mode", [PLAIN, BIAS, ADD])
def test_as_written(shape, mode, monkeypatch):
    monkeypatch.setenv("DESCENT_COMPILE", "0")
    monkeypatch.setattr(narrow.bf16, "product", amx.product)
    monkeypatch.setattr(narrow.int8, "product", amx.product_of_bytes)
    narrow.check_bf16(*shape, mode, mode == BIAS)
    narrow.check_int8(*shape, mode, mode == ADD)


def test_tiles_are_taken_and_given_back():
    with pytest.raises(RuntimeError, match="before amx"):
        unit.zero(0)
    unit.start()
    with pytest.raises(IndexError, match="beyond its ends"):
        unit.load(0, np.zeros(255, np.float32), 0, 16)
    unit.stop()


def machine_code(kind, processor="sapphirerapids"):
    """`amx.block` for sums of this kind, translated for another processor: text and bytes."""
    from llvmlite import binding
    from numba import types
    from numba.core.compiler_lock import global_compiler_lock

    words, sums = (types.Array(t, 1, "C") for t in (types.int32, kind))
    dispatcher, i = amx.block.inside.called, types.int64
    dispatcher.compile((words, i, i, words, i, i, words, sums))
    library = list(dispatcher.overloads.values())[-1].library
    with global_compiler_lock:
        library._ensure_finalized()
    module = binding.parse_assembly(library.get_llvm_str())
    machine = binding.Target.from_triple(module.triple).create_target_machine(
        cpu=processor, features="+amx-tile,+amx-bf16,+amx-int8", opt=3
    )
    builder = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(3))
    builder.getModulePassManager().run(module, builder)
    return machine.emit_assembly(module), machine.emit_object(module)


def test_machine_code():
    import platform

    from numba import types

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("machine code of x86-64")
    # VEX.128.F3.0F38.W0 5C (bf16) and VEX.128.66.0F38.W0 5E (bytes)
    for kind, name, p, opcode in (
        (types.float32, "tdpbf16ps", 2, 0x5C), (types.int32, "tdpbusd", 1, 0x5E),
    ):  # fmt: skip
        text, code = machine_code(kind)
        lines = [line.strip().replace("\t", " ") for line in text.splitlines()]
        products = {line for line in lines if line.startswith(name)}
        assert products == {
            f"{name} %tmm{b}, %tmm{a}, %tmm{c}"
            for c, a, b in ((0, 4, 6), (1, 4, 7), (2, 5, 6), (3, 5, 7))
        }
        assert {line for line in lines if line.startswith("tilezero")} == {
            f"tilezero %tmm{c}" for c in range(4)
        }
        assert sum(line.startswith("tilestored") for line in lines) == 4
        first = bytes([0xC4, 0xE2, (~6 & 15) << 3 | p, opcode, 0xC4])  # tile 0 += tile 4 · tile 6
        assert first in code


SIMULATED = '''
import ctypes
import numpy as np
from llvmlite import binding
from descent.kernel import amx as unit, emit_amx
from descent.ops import amx_trial

def words(place, row, width=16):
    """16 rows of 16 words, `row` bytes apart, in memory."""
    kind = ctypes.c_int32 * 16
    return [np.frombuffer(kind.from_address(place + r * row), np.int32) for r in range(16)]

def load(tile, place, row):
    for r, line in enumerate(words(place, row)):
        unit._tiles()[tile][r] = line

def store(tile, place, row):
    for r, line in enumerate(words(place, row)):
        line[:] = unit._tiles()[tile][r]

def start(place):
    said = ctypes.string_at(place, 64)
    assert said[0] == 1 and said[16:32] == b"\\x40\\0" * 8 and said[48:56] == bytes([16] * 8)
    unit.start()

def add(dtype):
    return lambda c, a, b: unit.add_product(c, a, b, np.empty(0, dtype))

t, p, n = ctypes.c_uint8, ctypes.c_void_p, ctypes.c_int64
kept = []
for name, function, kinds in (
    ("ldtilecfg", start, [p]), ("tilerelease", unit.stop, []), ("tilezero", unit.zero, [t]),
    ("tileloadd64", load, [t, p, n]), ("tilestored64", store, [t, p, n]),
    ("tdpbf16ps", add(np.float32), [t, t, t]), ("tdpbusd", add(np.int32), [t, t, t]),
):
    kept.append(ctypes.CFUNCTYPE(None, *kinds)(function))
    binding.add_symbol("simulated_" + name, ctypes.cast(kept[-1], ctypes.c_void_p).value)
emit_amx.PREFIX = "simulated_"
for shape in ((1, 1, 1), (3, 0, 5), (33, 100, 40), (130, 70, 33), (2, 2100, 40)):
    print(shape, amx_trial.compare(shape))
'''


@pytest.mark.slow
def test_compiled_over_a_simulated_unit(tmp_path):
    env = {**os.environ, "DESCENT_CACHE": str(tmp_path), "DESCENT_COMPILE": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SIMULATED], env=env, cwd=root, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert [line.rsplit(" ", 1)[-1] for line in lines] == ["right"] * 5, done.stdout + done.stderr


def test_on_the_unit():
    if not unit.allowed():
        pytest.skip("needs a processor with AMX: not run here")
    assert amx_trial.main() == amx_trial.RIGHT


def test_a_failed_trial_leaves_the_rung_below(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path))
    monkeypatch.setattr(amx_trial, "allowed", lambda: True)
    tried = []
    monkeypatch.setattr(amx_trial, "_try", lambda: tried.append(1) or "bf16: off by 3")
    for _ in range(2):
        amx_trial.usable.cache_clear()
        assert not amx_trial.usable()
    amx_trial.usable.cache_clear()
    assert tried == [1]
    assert "off by 3" in caplog.text


def test_a_crashed_trial_is_a_failed_one(monkeypatch):
    code = "import os; os.abort()"
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda _, **how: run([sys.executable, "-c", code], **how)
    )
    assert "ended with -6" in amx_trial._try()
