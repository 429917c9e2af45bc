"""The starter model in PyTorch, from a checkpoint's own names: what crates/hunyuan3d computes, batch by batch.

Parameters are one dictionary, name to tensor, with the names and shapes of `model.fp16.safetensors`; `config` is the
checkpoint's `config.yaml`. The Rust crate is the definition; `compare.py` holds the two against each other.
"""

import math

import torch
import torch.nn.functional as F

EPSILON = 1e-6
POST_EPSILON = 1e-5
EMBEDDED = 256


class Network:
    """Sizes of a configuration, and the functions over parameters `p`."""

    def __init__(self, config):
        encoder = config["conditioner"]["params"]["main_image_encoder"]["kwargs"]
        self.dino = encoder["config"]
        self.dit = config["model"]["params"]
        self.vae = config["vae"]["params"]
        ratio = self.vae.get("geo_decoder_downsample_ratio", 1)
        self.geo_heads = self.vae["heads"] // ratio
        unit = math.pi if self.vae.get("include_pi", True) else 1.0
        self.frequencies = [unit * 2.0**power for power in range(self.vae.get("num_freqs", 8))]
        if self.dino.get("use_swiglu_ffn") or self.dit.get("guidance_embed") is not True:
            raise ValueError("this is made for the starter model: a plain MLP in the encoder, a guidance embedding")

    def logits(self, p, pictures, noise, points, guidance):
        """Pictures `[batch, 3, size, size]`, noise `[1, latents, channels]`, points `[batch, points, 3]` → `[batch, points]`."""
        condition = self.encode(p, pictures)
        noise = noise.expand(pictures.shape[0], -1, -1)
        latents = noise + self.velocity(p, noise, condition, 0.0, guidance)
        return self.decode(p, latents, points)

    def encode(self, p, pictures):
        """→ condition tokens `[batch, 1 + patches, width]`."""
        at = "conditioner.main_image_encoder.model."
        patch = at + "embeddings.patch_embeddings.projection."
        tokens = F.conv2d(pictures, p[patch + "weight"], p[patch + "bias"], stride=self.dino["patch_size"])
        tokens = tokens.flatten(2).transpose(1, 2)
        place = p[at + "embeddings.position_embeddings"]
        first = (p[at + "embeddings.cls_token"] + place[:, :1]).to(tokens.dtype).expand(tokens.shape[0], -1, -1)
        x = torch.cat([first, tokens + place[:, 1:].to(tokens.dtype)], 1)
        heads, epsilon = self.dino["num_attention_heads"], self.dino.get("layer_norm_eps", EPSILON)
        for index in range(self.dino["num_hidden_layers"]):
            block = f"{at}encoder.layer.{index}."
            normed = layer_norm(p, block + "norm1", x, epsilon)
            q, k, v = (split(linear(p, f"{block}attention.attention.{part}", normed), heads) for part in ("query", "key", "value"))
            x = x + p[block + "layer_scale1.lambda1"] * linear(p, block + "attention.output.dense", attend(q, k, v))
            normed = layer_norm(p, block + "norm2", x, epsilon)
            middle = F.gelu(linear(p, block + "mlp.fc1", normed))
            x = x + p[block + "layer_scale2.lambda1"] * linear(p, block + "mlp.fc2", middle)
        return layer_norm(p, at + "layernorm", x, epsilon)

    def velocity(self, p, latents, condition, time, guidance):
        """→ as latents, `[batch, latents, channels]`."""
        period = self.dit.get("time_factor", 1000.0)
        device = latents.device
        vector = embedder(p, "model.time_in", embed(time, period, device))
        vector = F.silu(vector + embedder(p, "model.guidance_in", embed(guidance, period, device)))
        x, c = linear(p, "model.latent_in", latents), linear(p, "model.cond_in", condition)
        heads = self.dit["num_heads"]
        for index in range(self.dit["depth"]):
            block = f"model.double_blocks.{index}."
            own = linear(p, block + "img_mod.lin", vector).chunk(6, -1)
            theirs = linear(p, block + "txt_mod.lin", vector).chunk(6, -1)
            parts = [stream(p, block + "txt", c, theirs, heads), stream(p, block + "img", x, own, heads)]
            attention = attend(*(torch.cat(part, 2) for part in zip(*parts)))
            count = c.shape[1]
            c = finish(p, block + "txt", c, attention[:, :count], theirs)
            x = finish(p, block + "img", x, attention[:, count:], own)
        count = c.shape[1]
        x = torch.cat([c, x], 1)
        width = self.dit["hidden_size"]
        for index in range(self.dit["depth_single_blocks"]):
            block = f"model.single_blocks.{index}."
            shift, scale, gate = linear(p, block + "modulation.lin", vector).chunk(3, -1)
            both = linear(p, block + "linear1", modulate(x, shift, scale))
            q, k, v = (split(part, heads) for part in both[..., : 3 * width].chunk(3, -1))
            q, k = rms_norm(p, block + "norm.query_norm", q), rms_norm(p, block + "norm.key_norm", k)
            middle = F.gelu(both[..., 3 * width :], approximate="tanh")
            x = x + gate * linear(p, block + "linear2", torch.cat([attend(q, k, v), middle], -1))
        shift, scale = linear(p, "model.final_layer.adaLN_modulation.1", vector).chunk(2, -1)
        return linear(p, "model.final_layer.linear", modulate(x[:, count:], shift, scale))

    def decode(self, p, latents, points):
        """The field's logits at points, positive inside, `[batch, points]`."""
        x = linear(p, "vae.post_kl", latents / self.vae.get("scale_factor", 1.0))
        heads = self.vae["heads"]
        for index in range(self.vae["num_decoder_layers"]):
            block = f"vae.transformer.resblocks.{index}."
            qkv = linear(p, block + "attn.c_qkv", layer_norm(p, block + "ln_1", x, EPSILON))
            q, k, v = split(qkv, heads).chunk(3, -1)
            q, k = head_norms(p, block + "attn.attention", q, k)
            x = x + linear(p, block + "attn.c_proj", attend(q, k, v))
            middle = F.gelu(linear(p, block + "mlp.c_fc", layer_norm(p, block + "ln_2", x, EPSILON)))
            x = x + linear(p, block + "mlp.c_proj", middle)
        at = "vae.geo_decoder."
        block = at + "cross_attn_decoder."
        if at + "latents_proj.weight" in p:
            x = linear(p, at + "latents_proj", x)
        kv = linear(p, block + "attn.c_kv", layer_norm(p, block + "ln_2", x, EPSILON))
        k, v = split(kv, self.geo_heads).chunk(2, -1)
        angles = (points[..., None] * torch.tensor(self.frequencies, device=points.device)).flatten(2)
        x = linear(p, at + "query_proj", torch.cat([points, angles.sin(), angles.cos()], -1))
        q = split(linear(p, block + "attn.c_q", layer_norm(p, block + "ln_1", x, EPSILON)), self.geo_heads)
        q, k = head_norms(p, block + "attn.attention", q, k)
        x = x + linear(p, block + "attn.c_proj", attend(q, k, v))
        middle = F.gelu(linear(p, block + "mlp.c_fc", layer_norm(p, block + "ln_3", x, EPSILON)))
        x = x + linear(p, block + "mlp.c_proj", middle)
        if at + "ln_post.weight" in p:
            x = layer_norm(p, at + "ln_post", x, POST_EPSILON)
        return linear(p, at + "output_proj", x).squeeze(-1)


def linear(p, name, x):
    return F.linear(x, p[name + ".weight"], p.get(name + ".bias"))


def layer_norm(p, name, x, epsilon):
    weight = p[name + ".weight"]
    return F.layer_norm(x, weight.shape, weight, p[name + ".bias"], epsilon)


def rms_norm(p, name, x):
    scale = p[name + ".scale"]
    return F.rms_norm(x, scale.shape, scale, EPSILON)


def head_norms(p, name, q, k):
    """Layer norms over each head's channels, where the checkpoint has them."""
    if name + ".q_norm.weight" not in p:
        return q, k
    return layer_norm(p, name + ".q_norm", q, EPSILON), layer_norm(p, name + ".k_norm", k, EPSILON)


def split(x, heads):
    """`[batch, tokens, heads * width]` → `[batch, heads, tokens, width]`."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v):
    # Norms leave float32 behind under autocast; the fast kernels take the values' precision.
    attention = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
    return attention.transpose(1, 2).flatten(2)


def modulate(x, shift, scale):
    return (1 + scale) * F.layer_norm(x, x.shape[-1:], eps=EPSILON) + shift


def stream(p, name, x, parts, heads):
    qkv = linear(p, name + "_attn.qkv", modulate(x, parts[0], parts[1]))
    q, k, v = (split(part, heads) for part in qkv.chunk(3, -1))
    return rms_norm(p, name + "_attn.norm.query_norm", q), rms_norm(p, name + "_attn.norm.key_norm", k), v


def finish(p, name, x, attention, parts):
    x = x + parts[2] * linear(p, name + "_attn.proj", attention)
    middle = F.gelu(linear(p, name + "_mlp.0", modulate(x, parts[3], parts[4])), approximate="tanh")
    return x + parts[5] * linear(p, name + "_mlp.2", middle)


def embed(value, period, device):
    """Cosines, then sines of 1000 · value over geometrically spaced periods, `[1, 1, EMBEDDED]`."""
    half = EMBEDDED // 2
    value = torch.as_tensor(value, dtype=torch.float32, device=device)
    angles = 1000.0 * value * torch.exp(-math.log(period) * torch.arange(half, device=device) / half)
    return torch.cat([angles.cos(), angles.sin()])[None, None]


def embedder(p, name, x):
    return linear(p, name + ".out_layer", F.silu(linear(p, name + ".in_layer", x)))
