"""The axis language: one string says what an op reads and writes.

    "r [c], [c] -> r [c], r"

Left of the arrow stand the inputs, right of it the outputs, each a list of axis letters. A letter
has one size everywhere. `[c]` marks an axis that is read (or written) whole: the element y[r, c]
depends on x[r, :] rather than on x[r, c] alone. An input letter that an output lacks is read whole
too (`b m k, b k n -> b m n` sums over k). From the string follow the output shapes, the error
message, and which slices of the inputs feed one element of an output: an explanation never re-runs
a whole kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["AxisError", "Axes", "Operand"]


class AxisError(ValueError):
    """Shapes that do not fit an axis string."""


@dataclass(frozen=True)
class Operand:
    """One array of an axis string: its letters in order, and those read whole."""

    letters: tuple[str, ...]
    whole: frozenset[str]


def _operand(text: str) -> Operand:
    tokens = text.split()
    letters = tuple(t.strip("[]") for t in tokens)
    return Operand(letters, frozenset(t.strip("[]") for t in tokens if t.startswith("[")))


@dataclass(frozen=True)
class Axes:
    """A parsed axis string."""

    text: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]

    @classmethod
    def parse(cls, text: str) -> Axes:
        """Parse `"a b, [c] -> a b"`; raises AxisError when there is no single arrow."""
        if text.count("->") != 1:
            raise AxisError(f"axis string {text!r} needs exactly one '->'")
        left, right = text.split("->")
        return cls(
            text, tuple(map(_operand, left.split(","))), tuple(map(_operand, right.split(",")))
        )

    def sizes(self, op: str, shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
        """The size of every letter, from the shapes of the inputs.

        Raises:
            AxisError: naming the op, the string, the shapes and the letter that disagrees.
        """
        sizes: dict[str, int] = {}
        for operand, shape in zip(self.inputs, shapes):
            if len(operand.letters) != len(shape):
                raise AxisError(
                    f"{op} ({self.text}): expected {len(operand.letters)} axes "
                    f"'{' '.join(operand.letters)}', got shape {tuple(shape)}"
                )
            for letter, n in zip(operand.letters, shape):
                if sizes.setdefault(letter, n) != n:
                    given = ", ".join(str(tuple(s)) for s in shapes)
                    raise AxisError(
                        f"{op} ({self.text}): axis '{letter}' has size {sizes[letter]} in one "
                        f"input and {n} in another; got shapes {given}"
                    )
        return sizes

    def out_shapes(self, sizes: dict[str, int]) -> list[tuple[int, ...]]:
        """The shapes of the outputs; every output letter must be among the sizes."""
        return [tuple(sizes[k] for k in operand.letters) for operand in self.outputs]

    def reads(
        self, index: Sequence[int], output: int = 0
    ) -> tuple[list[tuple[slice, ...]], tuple[int, ...]]:
        """Which slice of every input feeds `outputs[output][index]`.

        Returns:
            The slices, one tuple per input (length-1 slices keep the axes, so that the kernel runs
            unchanged on the slices), and the index of the element in the smaller output.
        """
        target = self.outputs[output]
        fixed = {k: i for k, i in zip(target.letters, index) if k not in target.whole}
        slices = [
            tuple(
                slice(fixed[k], fixed[k] + 1)
                if k in fixed and k not in operand.whole
                else slice(None)
                for k in operand.letters
            )
            for operand in self.inputs
        ]
        local = tuple(0 if k in fixed else i for k, i in zip(target.letters, index))
        return slices, local
