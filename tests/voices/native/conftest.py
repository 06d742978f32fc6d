import pytest

from rwc_daemon.voices.native.isa import isas


@pytest.fixture(params=isas())
def isa(request):
    """Each instruction set of the native routines that this machine has: "portable" everywhere, "amx" with a unit."""
    return request.param
