import jax
import pytest


@pytest.fixture(autouse=True)
def trace_again():
    """Convolutions of equal shapes are traced once, also where a test changes a constant."""
    jax.clear_caches()
    yield
    jax.clear_caches()
