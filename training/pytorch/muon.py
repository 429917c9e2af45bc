"""Muon (Jordan 2024): momentum whose matrix is made orthogonal, many matrices of a shape at a time."""

import torch

# Jordan's quintic: five rounds bring singular values near 1, not onto it.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonal(matrices):
    """`[count, rows, columns]` → of each the nearest matrix with orthogonal rows or columns, about."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon:
    """Nesterov's momentum, orthogonal; `ratio` 1 makes updates as large as AdamW's are (Liu et al. 2025)."""

    def __init__(self, parameters, ratio=1.0, momentum=0.95, weight_decay=0.0):
        self.ratio, self.momentum, self.weight_decay = ratio, momentum, weight_decay
        # Where PyTorch's optimisers have their rate.
        self.param_groups = [{"lr": 0.0}]
        self.groups = {}
        for parameter in parameters:
            self.groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self.buffers = {shape: torch.zeros((len(group), *shape), device=group[0].device) for shape, group in self.groups.items()}

    @torch.no_grad()
    def step(self):
        rate = self.param_groups[0]["lr"]
        for shape, group in self.groups.items():
            gradient, buffer = torch.stack([parameter.grad for parameter in group]), self.buffers[shape]
            buffer.lerp_(gradient, 1.0 - self.momentum)
            update = orthogonal(gradient.lerp(buffer, self.momentum)).float()
            torch._foreach_mul_(group, 1.0 - rate * self.weight_decay)
            torch._foreach_add_(group, list(update.unbind()), alpha=-rate * self.ratio * 0.2 * max(shape) ** 0.5)

    def state_dict(self):
        return {"x".join(map(str, shape)): buffer for shape, buffer in self.buffers.items()}

    def load_state_dict(self, state):
        for shape, buffer in self.buffers.items():
            buffer.copy_(state["x".join(map(str, shape))])
