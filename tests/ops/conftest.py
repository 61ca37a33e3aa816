import jax
import pytest


@pytest.fixture(autouse=True)
def trace_again(request):
    """Convolutions of equal shapes are traced once, but not if a test changes a constant."""
    changes = "monkeypatch" in request.fixturenames
    if changes:
        jax.clear_caches()
    yield
    if changes:
        jax.clear_caches()
