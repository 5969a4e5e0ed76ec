"""Random numbers: streams equal to PyTorch's CPU generator for the same seed, on NumPy arrays.

`manual_seed(1337); randn((4, 8))` is `torch.manual_seed(1337); torch.randn(4, 8)` to the bit, so a
learner who follows a PyTorch lecture sees the lecture's numbers. One file per idea: `engine` (the
generator and its state), `integers` (randint, randperm), `uniforms` (rand, uniform, bernoulli,
exponential), `normals` (both Box-Muller paths), `choices` (multinomial), `skewed`
(cauchy, geometric, log-normal); `fma` is the arithmetic
that equality to the last bit needs. What is equal and what is not: docs/random.md.

Every function takes `generator=None`, which means `default_generator`.
Left out: float16, bfloat16 and complex outputs; poisson, gamma.
"""

from descent.random.choices import multinomial
from descent.random.engine import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from descent.random.integers import randint, randperm
from descent.random.normals import normal, randn
from descent.random.skewed import cauchy, geometric, log_normal
from descent.random.uniforms import bernoulli, exponential, rand, uniform

__all__ = [
    "Generator",
    "default_generator",
    "manual_seed",
    "seed",
    "initial_seed",
    "get_rng_state",
    "set_rng_state",
    "rand",
    "randn",
    "randint",
    "randperm",
    "uniform",
    "normal",
    "bernoulli",
    "exponential",
    "cauchy",
    "geometric",
    "log_normal",
    "multinomial",
]
