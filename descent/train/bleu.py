"""BLEU: how many n-grams of a translation stand in the reference, over a whole test set.

    BLEU = min(1, e^(1 − r/c)) · (p₁ p₂ p₃ p₄)^(1/4)        r, c: words of references, translations

Papineni et al. 2002; computed by sacrebleu (Post 2018, arXiv:1804.08771), whose tokenisation makes
figures comparable; its signature belongs beside every figure.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["bleu"]


def bleu(translations: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
    """BLEU in percent on plain (not tokenised) text, and sacrebleu's signature.

    Raises:
        ImportError: without sacrebleu, naming the extra that has it.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        raise ImportError(
            "BLEU needs sacrebleu: pip install 'descent-ml[translate]', or pip install sacrebleu"
        ) from None
    metric = BLEU()
    score = metric.corpus_score(list(translations), [list(references)])
    return float(score.score), str(metric.get_signature())
