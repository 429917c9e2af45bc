"""All weights as one vector, and the optimisers that move it: Muon (Jordan 2024) and AdamW.

One vector makes of thousands of small launches a few large ones: the mean of weights, the copy that the network computes with,
clipping and AdamW are a handful each.
"""

import torch

# Elements between beginnings of parameters: 128 bytes in half precision, where tensor cores read best.
ALIGNED = 64
# Jordan's quintic: five rounds bring singular values near 1, not onto it.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
MOMENTUM = 0.95
BETAS = (0.9, 0.98)
EPSILON = 1e-8
# What modulates begins as nothing; the first and last layers speak to something other than channels.
APART = ("modulation", "_mod.lin", "patch_embeddings", "latent_in", "time_in", "guidance_in", "final_layer", "query_proj", "output_proj")


class Layout:
    """Where each parameter lies in the vector: first what Muon moves, shape by shape, then AdamW's with decay, then its others."""

    def __init__(self, shapes, muon):
        matrix = {name: len(shape) > 1 and name.endswith(".weight") for name, shape in shapes.items()}
        mixing = [name for name in shapes if muon and matrix[name] and not any(part in name for part in APART)]
        decayed = [name for name in shapes if matrix[name] and name not in mixing]
        others = [name for name in shapes if not matrix[name]]
        self.places, self.shapes, self.groups, self.size = {}, {name: tuple(shape) for name, shape in shapes.items()}, {}, 0
        # By name, so that the order in a file does not matter.
        for name in sorted(mixing, key=lambda name: (self.shapes[name], name)):
            begin, count = self._append(name)
            if count % ALIGNED:
                raise ValueError(f"{name} of {self.shapes[name]} would leave gaps between matrices of a shape")
            first, many = self.groups.get(self.shapes[name], (begin, 0))
            self.groups[self.shapes[name]] = (first, many + 1)
        self.muon_end = self.size
        for name in sorted(decayed):
            self._append(name)
        self.decayed_end = self.size
        for name in sorted(others):
            self._append(name)

    def _append(self, name):
        place = (self.size, torch.Size(self.shapes[name]).numel())
        self.places[name] = place
        self.size += -(-place[1] // ALIGNED) * ALIGNED
        return place

    def views(self, vector):
        """Name → parameter, in the vector's memory."""
        return {name: vector[at : at + count].view(self.shapes[name]) for name, (at, count) in self.places.items()}


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


class Optimiser:
    """Moves a vector. Muon's updates are `ratio` times as large as AdamW's are (Liu et al. 2025)."""

    def __init__(self, layout, device, ratio, weight_decay):
        self.layout, self.ratio, self.weight_decay, self.steps = layout, ratio, weight_decay, 0
        zeros = lambda count: torch.zeros(count, device=device)
        rest = layout.size - layout.muon_end
        self.momentum, self.first, self.second = zeros(layout.muon_end), zeros(rest), zeros(rest)

    @torch.no_grad()
    def step(self, weights, gradient, rate):
        layout, between, decay = self.layout, self.layout.muon_end, 1.0 - rate * self.weight_decay
        self.steps += 1
        weights[: layout.decayed_end].mul_(decay)
        own = gradient[:between]
        self.momentum.lerp_(own, 1.0 - MOMENTUM)
        nesterov = own.lerp(self.momentum, MOMENTUM)
        for shape, (at, count) in layout.groups.items():
            part = slice(at, at + count * shape[0] * shape[1])
            update = orthogonal(nesterov[part].view(count, *shape))
            weights[part].view(count, *shape).add_(update, alpha=-rate * self.ratio * 0.2 * max(shape) ** 0.5)
        own = gradient[between:]
        self.first.lerp_(own, 1.0 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(own, own, value=1.0 - BETAS[1])
        first, second = (1.0 - beta**self.steps for beta in BETAS)
        weights[between:].addcdiv_(self.first, (self.second / second).sqrt_().add_(EPSILON), value=-rate / first)

    def state(self):
        return {"steps": self.steps, "momentum": self.momentum, "first": self.first, "second": self.second}

    def resume(self, state):
        self.steps = state["steps"]
        for name in ("momentum", "first", "second"):
            getattr(self, name).copy_(state[name])
