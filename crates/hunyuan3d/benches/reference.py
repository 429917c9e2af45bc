"""Times the parts of Hunyuan3D-2 (v2-0, full size, random weights, float16) in PyTorch, for a table beside ours.

The networks are written out here after the reference's shapes (hy3dgen 2.0.2): 16 double and 32 single blocks of width 1024
over 1370 + 3072 tokens at batch 2, DINOv2-giant, the shape decoder and the geometry decoder. Attention is PyTorch's
scaled_dot_product_attention, matrix products are cuBLAS's. `--compile` also times a step under torch.compile (a minute more).
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
from torch import nn

W, HEADS, HEAD, LATENTS, CONDITION = 1024, 16, 64, 3072, 1370


def heads(x, parts):
    b, n, _ = x.shape
    return x.view(b, n, parts, HEADS, HEAD).permute(2, 0, 3, 1, 4)


def attend(q, k, v):
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Stream(nn.Module):
    def __init__(self):
        super().__init__()
        self.mod, self.qkv, self.proj = nn.Linear(W, 6 * W), nn.Linear(W, 3 * W), nn.Linear(W, W)
        self.up, self.down = nn.Linear(W, 4 * W), nn.Linear(4 * W, W)
        self.q_norm, self.k_norm = nn.RMSNorm(HEAD), nn.RMSNorm(HEAD)

    def heads(self, x, mod):
        x = (1 + mod[1]) * F.layer_norm(x, (W,), eps=1e-6) + mod[0]
        q, k, v = heads(self.qkv(x), 3)
        return self.q_norm(q), self.k_norm(k), v

    def finish(self, x, attention, mod):
        x = x + mod[2] * self.proj(attention)
        y = (1 + mod[4]) * F.layer_norm(x, (W,), eps=1e-6) + mod[3]
        return x + mod[5] * self.down(F.gelu(self.up(y), approximate="tanh"))


class Double(nn.Module):
    def __init__(self):
        super().__init__()
        self.latents, self.condition = Stream(), Stream()

    def forward(self, x, c, vector):
        own = self.latents.mod(vector).chunk(6, -1)
        theirs = self.condition.mod(vector).chunk(6, -1)
        parts = zip(self.condition.heads(c, theirs), self.latents.heads(x, own))
        both = attend(*[torch.cat(part, 2) for part in parts])
        n = c.shape[1]
        return self.latents.finish(x, both[:, n:], own), self.condition.finish(c, both[:, :n], theirs)


class Single(nn.Module):
    def __init__(self):
        super().__init__()
        self.mod, self.into, self.out = nn.Linear(W, 3 * W), nn.Linear(W, 7 * W), nn.Linear(5 * W, W)
        self.q_norm, self.k_norm = nn.RMSNorm(HEAD), nn.RMSNorm(HEAD)

    def forward(self, x, vector):
        shift, scale, gate = self.mod(vector).chunk(3, -1)
        qkv, middle = self.into((1 + scale) * F.layer_norm(x, (W,), eps=1e-6) + shift).split([3 * W, 4 * W], -1)
        q, k, v = heads(qkv, 3)
        attention = attend(self.q_norm(q), self.k_norm(k), v)
        return x + gate * self.out(torch.cat([attention, F.gelu(middle, approximate="tanh")], -1))


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.into, self.out, self.final = nn.Linear(64, W), nn.Linear(W, 64), nn.Linear(W, 2 * W)
        self.doubles = nn.ModuleList(Double() for _ in range(16))
        self.singles = nn.ModuleList(Single() for _ in range(32))

    def forward(self, x, c, vector):
        x = self.into(x)
        for block in self.doubles:
            x, c = block(x, c, vector)
        n = c.shape[1]
        x = torch.cat([c, x], 1)
        for block in self.singles:
            x = block(x, vector)
        shift, scale = self.final(vector).chunk(2, -1)
        return self.out((1 + scale) * F.layer_norm(x[:, n:], (W,), eps=1e-6) + shift)


class Block(nn.Module):
    """The shape decoder's transformer block."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(W, 3 * W, bias=False), nn.Linear(W, W)
        self.up, self.down = nn.Linear(W, 4 * W), nn.Linear(4 * W, W)
        self.n1, self.n2 = nn.LayerNorm(W, eps=1e-6), nn.LayerNorm(W, eps=1e-6)
        self.nq, self.nk = nn.LayerNorm(HEAD, eps=1e-6), nn.LayerNorm(HEAD, eps=1e-6)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, n, HEADS, 3, HEAD).permute(3, 0, 2, 1, 4)
        x = x + self.proj(attend(self.nq(q), self.nk(k), v))
        return x + self.down(F.gelu(self.up(self.n2(x))))


class Geometry(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.q, self.proj = nn.Linear(51, W), nn.Linear(W, W, bias=False), nn.Linear(W, W)
        self.up, self.down, self.out = nn.Linear(W, 4 * W), nn.Linear(4 * W, W), nn.Linear(W, 1)
        self.n1, self.n3, self.post = nn.LayerNorm(W, eps=1e-6), nn.LayerNorm(W, eps=1e-6), nn.LayerNorm(W)
        self.nq = nn.LayerNorm(HEAD, eps=1e-6)
        self.register_buffer("frequencies", 2.0 ** torch.arange(8))

    def forward(self, points, k, v):
        angles = (points[..., None] * self.frequencies).flatten(-2)
        x = self.embed(torch.cat([points, angles.sin(), angles.cos()], -1).half())
        q = self.q(self.n1(x)).view(1, -1, HEADS, HEAD).transpose(1, 2)
        x = x + self.proj(attend(self.nq(q), k, v))
        x = x + self.down(F.gelu(self.up(self.n3(x))))
        return self.out(self.post(x))


def timed(run, repeat=10, warm=3):
    """Milliseconds, the median."""
    for _ in range(warm):
        run()
    times = []
    for _ in range(repeat):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - begin))
    return sorted(times)[len(times) // 2]


@torch.inference_mode()
def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--compile", action="store_true")
    options = arguments.parse_args()
    torch.set_default_device("cuda")
    table = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    random = lambda *shape: torch.randn(shape).half()

    q, k, v = (random(2, HEADS, CONDITION + LATENTS, HEAD) for _ in range(3))
    table["attention 2x16x4442x64 ms"] = timed(lambda: F.scaled_dot_product_attention(q, k, v))
    for rows, inputs, outputs in [(8884, 1024, 3072), (8884, 1024, 1024), (8884, 1024, 4096), (8884, 4096, 1024)]:
        x, w, b = random(rows, inputs), random(outputs, inputs), random(outputs)
        ms = timed(lambda: F.linear(x, w, b), 30)
        table[f"linear {rows} {inputs}->{outputs} TFLOP/s"] = 2e-9 * rows * inputs * outputs / ms
    model = Denoiser().half().eval()
    inputs = random(2, LATENTS, 64), random(2, CONDITION, W), random(1, 1, W)
    table["step ms"] = timed(lambda: model(*inputs))
    if options.compile:
        compiled = torch.compile(model)
        table["step, compiled, ms"] = timed(lambda: compiled(*inputs))
    del model
    decoder = nn.Sequential(nn.Linear(64, W), *(Block() for _ in range(16))).half().eval()
    latents = random(1, LATENTS, 64)
    table["shape decoder ms"] = timed(lambda: decoder(latents))
    geometry = Geometry().half().eval()
    geometry.frequencies = geometry.frequencies.float()
    points = torch.rand(1, 65536, 3) * 2 - 1
    k, v = random(1, HEADS, LATENTS, HEAD), random(1, HEADS, LATENTS, HEAD)
    table["geometry decoder, million queries/s"] = 65.536 / timed(lambda: geometry(points, k, v))
    try:
        from transformers import Dinov2Config, Dinov2Model

        config = Dinov2Config(hidden_size=1536, num_hidden_layers=40, num_attention_heads=24, image_size=518,
                              patch_size=14, use_swiglu_ffn=True, mlp_ratio=4)
        dino = Dinov2Model(config).half().eval()
        picture = random(1, 3, 518, 518)
        table["conditioner ms"] = timed(lambda: dino(picture))
    except ImportError as error:
        table["conditioner ms"] = f"not measured: {error}"
    print(json.dumps({name: round(v, 4) if isinstance(v, float) else v for name, v in table.items()}, indent=1))


main()
