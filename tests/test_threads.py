"""Shared work: every task once, errors reach the caller, nesting and forks do not deadlock."""

import threading

import numpy as np
import pytest

from descent import blas, threads


@pytest.fixture
def three_threads(monkeypatch):
    monkeypatch.setattr(threads, "n_threads", lambda: 3)
    monkeypatch.setattr(threads, "_crew", None)  # the process may have one of another size


def test_every_task_runs_once_on_several_threads(three_threads) -> None:
    seen: list[tuple[int, int]] = []
    barrier = threading.Barrier(3, timeout=30)  # passes only when three threads take part

    def task(i: int) -> None:
        if i < 3:
            barrier.wait()
        seen.append((i, threading.get_ident()))

    threads.share([lambda i=i: task(i) for i in range(20)])
    assert sorted(i for i, _ in seen) == list(range(20))
    assert len({thread for _, thread in seen}) == 3


def test_an_error_in_a_task_reaches_the_caller_and_work_goes_on(three_threads) -> None:
    def fail() -> None:
        raise ValueError("slab 3")

    with pytest.raises(ValueError, match="slab 3"):
        threads.share([fail] * 4)
    done = []
    threads.share([lambda: done.append(1)] * 5)
    assert len(done) == 5


def test_sharing_inside_a_task_and_from_two_threads(three_threads) -> None:
    count = []

    def outer() -> None:
        threads.share([lambda: count.append(1)] * 4)

    workers = [threading.Thread(target=lambda: threads.share([outer] * 4)) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(60)
    assert len(count) == 4 * 4 * 4


@pytest.mark.parametrize("n", [0, 1, 5, 64, 1000])
def test_slabs_cover_everything_once(three_threads, n) -> None:
    parts = [i for s in threads.slabs(n, 7) for i in range(n)[s]]
    assert parts == list(range(n))


@pytest.mark.parametrize(
    ("m", "k", "n"), [(700, 64, 300), (40, 300, 900), (1, 5000, 2000), (3, 4, 5)]
)
def test_products_equal_numpy_and_repeat_bit_for_bit(three_threads, m, k, n) -> None:
    rng = np.random.default_rng(0)
    a, c = rng.standard_normal((m, k), np.float32), rng.standard_normal((n, k), np.float32).T
    y = blas.dot(a, c)
    np.testing.assert_allclose(y, a.astype(np.float64) @ c.astype(np.float64), rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(y, blas.dot(a, c))
    b = rng.standard_normal((6, 90, 64), np.float32)
    d = rng.standard_normal((6, 64, 200), np.float32)
    np.testing.assert_allclose(blas.matmul(b, d), np.einsum("bmk,bkn->bmn", b, d), atol=1e-3)


def test_a_forked_process_starts_threads_of_its_own(three_threads) -> None:
    import subprocess
    import sys

    code = (
        "import os; os.environ['DESCENT_THREADS'] = '3'\n"
        "from descent import threads\n"
        "threads.share([lambda: None] * 6)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    done = []; threads.share([lambda: done.append(1)] * 6); os._exit(len(done))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "6", out.stderr
