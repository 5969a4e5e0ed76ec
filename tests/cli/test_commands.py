"""The table of commands: what is imported for one is all that it needs."""

import importlib
import subprocess
import sys

import pytest
import typer

from descent.cli.main import COMMANDS, app


def names(of):
    groups = {group.name for group in of.registered_groups}
    commands = {c.name or c.callback.__name__.replace("_", "-") for c in of.registered_commands}
    return groups | commands


@pytest.mark.parametrize("module", COMMANDS)
def test_a_module_registers_what_the_table_says(module):
    made = typer.Typer()
    importlib.import_module(f"descent.cli.{module}").register(made)
    assert names(made) == set(COMMANDS[module])


def test_all_are_there():
    assert names(app) == {name for each in COMMANDS.values() for name in each} | {"version"}


def test_a_command_imports_no_other():
    code = (
        "import sys; sys.argv = ['descent', 'get', '--help']\n"
        "from descent.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('descent.train', 'descent.cli.up'))])\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"
