"""Warnings hushed around one op, and as they were after it."""

import threading
import warnings

import numpy as np
import pytest

from descent.op import quiet

PAIRS = pytest.mark.parametrize(
    ("hush", "restore"), [(quiet.hush, quiet.restore), quiet._slow()], ids=["fast", "errstate"]
)


@PAIRS
def test_hushed_and_as_before(hush, restore):
    one = np.ones(1)
    with np.errstate(divide="raise"):
        before = hush()
        inner = hush()
        assert (one / 0 == np.inf).all()
        restore(inner)
        assert (one / 0 == np.inf).all()
        restore(before)
        with pytest.raises(FloatingPointError):
            one / 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            one / 0


@PAIRS
def test_other_threads_keep_their_settings(hush, restore):
    found = []

    def look():
        found.append(np.geterr()["divide"])

    before = hush()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    restore(before)
    assert found == ["warn"]
