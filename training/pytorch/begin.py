#!/usr/bin/env python3
"""First weights that know where things are: `begin.py FIRST NOISE OUT`, checkpoint folders both, NOISE as train.py says.

A transformer that begins at random learns for long what a convolution begins with: that near things matter. Here each token
carries its place in the first channels of the residual stream (patches theirs in the picture, latents a place in the box that
follows from their noise, queries theirs), and of each layer's heads the first half attends by nearness of places. Everything may be
unlearned: these are ordinary weights. In the spirit of d'Ascoli et al. 2021 (ConViT), which does so for one encoder.
"""

import math
import shutil
import sys
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file

# Channels of the residual stream that begin as a place, at the most; a quarter of it where that is less.
CHANNELS = 32
# The picture's half side in the model's units: `recentre` leaves a border, and shapes end at 0.95.
PICTURE = 0.95 / 0.85
# How near is near: places are put on a sphere, at this slope, and compared by their angle. A layer's first head is the sharpest; each
# further one sees `WIDER` as far.
SLOPE = 3.5
# The scale of queries' and keys' norms: what nearness weighs against the rest.
SHARPNESS = 1.7
# The encoder's heads have no norms: what its queries and keys are multiplied by. Inner products of waves are at most 4.
WAVES = 9.0
WIDER = 1.5
# Channels of a head.
HEAD = 64
# Columns of a basis: x, y, z, eight waves, a constant, and one to spare.
COLUMNS = 13
CONSTANT = 11


class Places:
    """The channels of a stream of a width, and how a place is written into them: x, y, z and waves of the picture's two."""

    def __init__(self, width, random):
        self.count = min(CHANNELS, width // 4)
        columns = torch.randn(self.count, COLUMNS, dtype=torch.float64, generator=random)
        # Without a mean, which layer norms take away.
        columns -= columns.mean(0)
        self.basis = torch.linalg.qr(columns)[0].float()
        self.loud = self.count**0.5

    def written(self, parts):
        """`[tokens, parts]` → `[tokens, channels]`: parts as the columns of the basis, in their order."""
        return self.loud * parts @ self.basis[:, : parts.shape[1]].T

    def reading(self, parts):
        """`[parts, channels]`: what reads them again."""
        return self.basis[:, list(parts)].T / self.loud


def waves(places):
    """`[n, 2]` → `[n, 8]`: whose inner products tell how near two places are."""
    return torch.cat([f(k * math.pi / 2 * places) for k in (1, 2) for f in (torch.cos, torch.sin)], 1)


def begin(p, config, noise, seed=7):
    """Changes first weights, name → tensor of float32, in place. Noise is `[latents, channels]`."""
    random = torch.Generator().manual_seed(seed)
    encoder = config["conditioner"]["params"]["main_image_encoder"]["kwargs"]
    dino, dit, vae = encoder["config"], config["model"]["params"], config["vae"]["params"]
    width = dit["hidden_size"]
    if not width == dino["hidden_size"] == vae["width"] == dit["context_in_dim"]:
        raise ValueError("this is made for streams of one width")
    heads = dino["num_attention_heads"], dit["num_heads"], vae["heads"]
    if any(width != HEAD * count for count in heads):
        raise ValueError(f"this is made for heads of {HEAD} channels")
    geometry = vae["width"] // vae.get("geo_decoder_downsample_ratio", 1)
    places, asked = Places(width, random), Places(geometry, random)
    lift = torch.randn(HEAD, 12, dtype=torch.float64, generator=random)
    lift = torch.linalg.qr(lift - lift.mean(0))[0].float()
    clear = lambda name, count=places.count: p[name][:count].zero_()

    def near(weight, rows, reading, slope, bias=None):
        """Rows of a projection that make of places points on a sphere; the constant comes by a bias or by a norm's."""
        channels = reading.shape[1]
        p[weight][rows] = 0
        p[weight][rows, :channels] = slope * lift[:, : reading.shape[0]] @ reading
        if bias is not None:
            p[bias][rows] = lift[:, -1]

    head = lambda first, index: slice(first + HEAD * index, first + HEAD * (index + 1))
    some = lambda heads: range(max(heads // 2, 1))

    # The encoder: places by waves, which need no norm.
    at = "conditioner.main_image_encoder.model."
    side = encoder["image_size"] // dino["patch_size"]
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    across, up = ((column + 0.5) / side * 2 - 1).flatten(), (1 - (row + 0.5) / side * 2).flatten()
    picture = torch.stack([across, up], 1)
    code = torch.cat([PICTURE * picture, torch.zeros(len(picture), 1), waves(picture)], 1)
    clear(at + "embeddings.patch_embeddings.projection.weight")
    p[at + "embeddings.position_embeddings"][0, :, : places.count] = 0
    p[at + "embeddings.position_embeddings"][0, 1:, : places.count] = places.written(code)
    p[at + "embeddings.cls_token"][..., : places.count] = 0
    for index in range(dino["num_hidden_layers"]):
        block = f"{at}encoder.layer.{index}."
        for branch in ("layer_scale1.lambda1", "layer_scale2.lambda1"):
            p[block + branch].fill_(0.4)
        for name in ("attention.output.dense", "mlp.fc2"):
            clear(f"{block}{name}.weight")
        for one in some(dino["num_attention_heads"]):
            for part in ("query", "key"):
                near(f"{block}attention.attention.{part}.weight", head(0, one), places.reading(range(3, 11)), WAVES / WIDER**one)
    clear("model.cond_in.weight")
    p["model.cond_in.weight"][: places.count, : places.count] = torch.eye(places.count)

    # Latents: three directions of their noise are their places, which so fill the box with a density that falls outwards.
    directions = torch.linalg.qr(torch.randn(noise.shape[1], 3, dtype=torch.float64, generator=random))[0].float()
    spread = (noise @ directions).std(0)
    own = 0.55 * (directions / spread).T
    for name in ("model.latent_in.weight", "vae.post_kl.weight"):
        p[name][: places.count] = places.written(own.T).T
    p["model.final_layer.linear.weight"].mul_(0.2)

    # The transformer: latents and patches look at each other by x and y, since patches know no z.
    flat = places.reading((0, 1))
    for index in range(dit["depth"]):
        for stream in ("img", "txt"):
            block = f"model.double_blocks.{index}.{stream}_"
            p[block + "mod.lin.bias"].view(6, -1)[2::3] = 0.4
            for name in ("attn.proj", "mlp.2"):
                clear(f"{block}{name}.weight")
            for part in ("query", "key"):
                p[f"{block}attn.norm.{part}_norm.scale"].fill_(SHARPNESS)
            for one in some(dit["num_heads"]):
                for first in (0, width):
                    near(block + "attn.qkv.weight", head(first, one), flat, SLOPE / WIDER**one, block + "attn.qkv.bias")
    for index in range(dit["depth_single_blocks"]):
        block = f"model.single_blocks.{index}."
        p[block + "modulation.lin.bias"].view(3, -1)[2] = 0.4
        clear(block + "linear2.weight")
        for part in ("query", "key"):
            p[f"{block}norm.{part}_norm.scale"].fill_(SHARPNESS)
        for one in some(dit["num_heads"]):
            for first in (0, width):
                near(block + "linear1.weight", head(first, one), flat, SLOPE / WIDER**one, block + "linear1.bias")

    # The shape decoder and the field's: nearness in the box. Their projections have no bias, so the norms before them bring the constant.
    def constant(norm, own):
        p[norm + ".bias"][: own.count] = own.basis[:, CONSTANT]

    def of_box(own, one):
        return torch.cat([SLOPE / WIDER**one * own.reading((0, 1, 2)), own.basis[:, CONSTANT][None]])

    def sharp(block):
        for part in ("q_norm", "k_norm"):
            p[f"{block}attn.attention.{part}.weight"].fill_(SHARPNESS)

    for index in range(vae["num_decoder_layers"]):
        block = f"vae.transformer.resblocks.{index}."
        constant(block + "ln_1", places)
        sharp(block)
        for name in ("attn.c_proj", "mlp.c_proj"):
            clear(f"{block}{name}.weight")
            p[f"{block}{name}.weight"].mul_(0.5)
        for one in some(vae["heads"]):
            # Each head's queries, keys and values follow one another.
            for first in (0, HEAD):
                near(block + "attn.c_qkv.weight", head(first, 3 * one), of_box(places, one), 1.0)
    decoder = "vae.geo_decoder."
    block = decoder + "cross_attn_decoder."
    if decoder + "latents_proj.weight" in p:
        p[decoder + "latents_proj.weight"][: asked.count] = 0
        carried = asked.written(torch.eye(3)).T @ places.reading((0, 1, 2))
        p[decoder + "latents_proj.weight"][: asked.count, : places.count] = carried
        into = asked
    else:
        into = places
    p[decoder + "query_proj.weight"][: asked.count] = 0
    p[decoder + "query_proj.weight"][: asked.count, :3] = asked.written(torch.eye(3)).T
    constant(block + "ln_1", asked)
    constant(block + "ln_2", into)
    sharp(block)
    for one in some(geometry // HEAD):
        near(block + "attn.c_q.weight", head(0, one), of_box(asked, one), 1.0)
        near(block + "attn.c_kv.weight", head(0, 2 * one), of_box(into, one), 1.0)
    for name in ("attn.c_proj", "mlp.c_proj"):
        clear(f"{block}{name}.weight", asked.count)


def main():
    first, noise, out = map(Path, sys.argv[1:])
    config = yaml.safe_load((first / "config.yaml").read_text())
    weights = {name: value.float() for name, value in load_file(first / "model.fp16.safetensors").items()}
    begin(weights, config, load_file(noise)["latents_0"].reshape(config["vae"]["params"]["num_latents"], -1))
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(first / "config.yaml", out / "config.yaml")
    save_file({name: value.half().contiguous() for name, value in weights.items()}, out / "model.fp16.safetensors")


if __name__ == "__main__":
    main()
