"""The processes that train one network together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from bbnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bbnas.networks import RestorationNetwork
    from bbnas.protocol import Protocol


@dataclass(frozen=True)
class Crew:
    """``size`` processes, of which this one has the number ``rank``. Rank 0 scores and writes.

    Each trains a copy of the network on its share of every batch. Their gradients are averaged
    before each step of Adam, which has them in one vector (DistributedDataParallel would copy
    them into buckets of its own). The loss is a mean over the batch, so the average is the
    gradient of the whole batch, and the copies stay equal.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls) -> Crew:
        """That of torch.distributed; this process alone where it was not set up."""
        import torch.distributed as dist

        if not dist.is_available() or not dist.is_initialized():
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    def prepare(
        self, network: RestorationNetwork, protocol: Protocol, device: torch.device
    ) -> RestorationNetwork:
        """The network as each process trains it: BatchNorm has the statistics of whole batches.

        Raises:
            UserError: shares of a batch would differ in size; BatchNorm on a CPU.
        """
        if protocol.batch % self.size:
            raise UserError(
                f"{self.size} workers cannot share a batch of {protocol.batch} evenly: choose a "
                "divisor of it"
            )
        normalised = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        if self.size == 1 or not normalised:
            return network
        if device.type != "cuda":
            raise UserError(
                f"{self.size} workers on a CPU: torch has no BatchNorm over the batches of "
                "several processes there; use --workers 1"
            )
        convert = cast("Callable[[nn.Module], nn.Module]", nn.SyncBatchNorm.convert_sync_batchnorm)
        return cast("RestorationNetwork", convert(network))

    def share(self, batch: Tensor) -> Tensor:
        """The part of a batch that this process trains on, (N, …) → (N/size, …)."""
        return batch if self.size == 1 else batch.chunk(self.size)[self.rank]

    def average(self, tensor: Tensor) -> None:
        """Replace ``tensor`` by its mean over the processes; all of them must call it."""
        if self.size > 1:
            import torch.distributed as dist

            dist.all_reduce(tensor)
            tensor /= self.size
