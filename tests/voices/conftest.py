import pytest


@pytest.fixture
def threads(request):
    """Nets of the calling thread run on so many (indirect); numbers are the same each time."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def watching():
    """A mode that lists in `seen` what of torch is called meanwhile."""
    overrides = pytest.importorskip("torch.overrides")

    class Watching(overrides.TorchFunctionMode):
        def __init__(self):
            super().__init__()
            self.seen = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.seen.append(func)
            return func(*args, **(kwargs or {}))

    return Watching()
