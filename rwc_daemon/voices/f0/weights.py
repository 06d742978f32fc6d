"""Weights of a pitch net from its safetensors file, checked tensor by tensor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rwc_daemon.errors import BadModel


def read(path: Path) -> dict[str, Tensor]:
    """Every tensor of the file; raises BadModel where it is none of ours."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadModel(
            f"{path} cannot be read as safetensors ({error}): fetch it again with `rwcctl assets`"
        ) from error


def count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered parts stand under `prefix`."""
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})


def size(state: Mapping[str, Tensor], key: str, axis: int) -> int:
    """The length of one axis of one tensor; 0 where there is none."""
    return state[key].shape[axis] if key in state and state[key].ndim > axis else 0


def fill(net: nn.Module, state: Mapping[str, Tensor], name: str, spare: Collection[str] = ()) -> None:
    """Puts `state` into `net`. Every key must be there with its shape; of others only `spare` may be.

    `name` is the asset's, for the message of BadModel.
    """
    # batch norms count their training steps; stored files leave that out
    counters = {key for key in net.state_dict() if key.endswith("num_batches_tracked")}
    wanted = {key: tensor for key, tensor in net.state_dict().items() if key not in counters}
    wrong = [
        *(f"no {key}" for key in wanted.keys() - state.keys()),
        *(f"unknown {key}" for key in state.keys() - wanted.keys() - set(spare) - counters),
        *(f"{key} is {tuple(state[key].shape)}" for key in wanted.keys() & state.keys()
          if state[key].shape != wanted[key].shape),
    ]  # fmt: skip
    if wrong:
        raise BadModel(
            f"the file of '{name}' is another net ({sorted(wrong)[0]}; {len(wrong)} such): "
            f"`rwcctl assets fetch {name}` brings the right one"
        )
    net.load_state_dict({key: state[key].to(wanted[key].dtype) for key in wanted}, assign=True, strict=False)
