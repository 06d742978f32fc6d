"""Gives a net to one backend, without asking whether that is quicker."""

from rwc_daemon.voices.backends.choice import Fusable, fuse, let_go
from rwc_daemon.voices.layers import LAYERS


def packed_by(backend, net):
    """`net`, every layer and part of which `backend` runs, where it takes it."""
    for layer in net.modules():
        if isinstance(layer, LAYERS) and layer.packed is None:
            layer.packed = backend.pack(layer)
            if layer.packed is not None:
                let_go(layer)
    for part in net.modules():
        if isinstance(part, Fusable):
            fuse(part, [backend])
    return net
