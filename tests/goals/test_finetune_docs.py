"""docs/finetune.md: its table of defaults is the settings' own."""

from dataclasses import fields
from pathlib import Path

from descent.train.finetune import FinetuneSettings

PAGE = Path(__file__).parents[2] / "docs" / "finetune.md"
BEGIN, END = "<!-- table: descent.train.finetune.FinetuneSettings -->\n", "<!-- end -->"


def table() -> str:
    rows = ["| setting | default | what |", "|---|---|---|"]
    for f in fields(FinetuneSettings):
        default = "–" if f.default in (None, ()) else str(f.default)
        rows.append(f"| `{f.name}` | {default} | {f.metadata['help']} |")
    return "\n".join(rows) + "\n"


def test_the_table_of_defaults_is_the_settings_own() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = page.split(BEGIN)[1].split(END)[0]
    assert shown == table()
