"""airbench94's optimiser in PyTorch: Muon on the filters, SGD with Nesterov momentum on the rest.

After the facts published with it (Jordan 2024, github.com/KellerJordan/cifar10-airbench).
"""

from __future__ import annotations

import torch
from torch_nets import Airbench94

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
MOMENTUM = 0.6
SGD_MOMENTUM = 0.85
BIAS_LR, HEAD_LR = 0.053, 0.67
DECAY_PER_EXAMPLE = 2e-6
STEM_TRAINED = 3 / 8  # The share of the run after which the whitening layer's bias rests.


def orthogonalize(matrix):
    """Roughly the nearest semi-orthogonal matrix: three Newton-Schulz steps in bfloat16."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(3):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if tall else x


class Optimizer:
    """Steps for the gradient of the loss that is summed over the batch; rates fall to 0 linearly.

    Args:
      net: What is trained.
      total_steps: Steps of the whole run.
      batch_size: Images a step.
      muon_lr: The first rate of the filters' steps.
      compiled: Whether Newton-Schulz is compiled.
    """

    def __init__(
        self,
        net: Airbench94,
        total_steps: int,
        batch_size: int,
        muon_lr: float = 0.24,
        compiled: bool = False,
    ):
        self.net, self.total_steps, self.muon_lr, self.taken = net, total_steps, muon_lr, 0
        self.filters = [p for p in net.groups.parameters() if p.ndim == 4]
        self.buffers = [torch.zeros_like(p) for p in self.filters]
        self.orthogonalize = torch.compile(orthogonalize) if compiled else orthogonalize
        biases = [p for p in net.groups.parameters() if p.ndim == 1]
        groups = [
            _group(biases, BIAS_LR, batch_size),
            _group([net.head.weight], HEAD_LR, batch_size),
            _group([net.stem.bias], BIAS_LR, batch_size, share=STEM_TRAINED),
        ]
        self.sgd = torch.optim.SGD(groups, momentum=SGD_MOMENTUM, nesterov=True, fused=True)

    @torch.no_grad()
    def step(self) -> None:
        """Takes a step by the parameters' gradients, and forgets these."""
        gone = self.taken / self.total_steps
        for group in self.sgd.param_groups:
            group["lr"] = group["first_lr"] * max(0.0, 1 - gone / group["share"])
        self.sgd.step()
        for p, buffer in zip(self.filters, self.buffers, strict=True):
            buffer.mul_(MOMENTUM).add_(p.grad)
            ahead = p.grad.add(buffer, alpha=MOMENTUM)
            p.mul_(len(p) ** 0.5 / p.norm())
            direction = self.orthogonalize(ahead.flatten(1)).view_as(p)
            p.sub_(direction.to(p.dtype), alpha=self.muon_lr * (1 - gone))
        self.net.zero_grad(set_to_none=True)
        self.taken += 1
        # No gradient is computed for the stem once its rate is 0.
        self.net.stem.bias.requires_grad_(self.taken < STEM_TRAINED * self.total_steps)


def _group(params, lr: float, batch_size: int, share: float = 1.0) -> dict:
    decay = DECAY_PER_EXAMPLE * batch_size / lr
    return {"params": params, "lr": lr, "weight_decay": decay, "first_lr": lr, "share": share}
