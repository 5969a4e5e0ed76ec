"""The floor itself: standard library only, and its public names."""

import subprocess
import sys

import descent
from descent import scalar


def test_standard_library_only():
    # The package's own __init__ may import NumPy; this floor, imported by itself, must not.
    code = (
        "import sys, types; before = set(sys.modules);"
        "sys.modules['descent'] = types.ModuleType('descent');"
        f"sys.modules['descent'].__path__ = {list(descent.__path__)!r};"
        "import descent.scalar;"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['descent']"


def test_public_names():
    assert {"Value", "Module", "Neuron", "Layer", "MLP", "gradcheck", "draw"} <= set(scalar.__all__)
    assert all(hasattr(scalar, name) for name in scalar.__all__)
