"""The starter model in PyTorch, from a checkpoint's own names: what crates/hunyuan3d computes, batch by batch.

Parameters are one dictionary, name to tensor, with the names and shapes of `model.fp16.safetensors`; `config` is the
checkpoint's `config.yaml`. The Rust crate is the definition; `compare.py` holds the two against each other. Blocks of a kind are one
function over their own parameters, so that `torch.compile` makes each kind once and not each block.
"""

import math

import torch
import torch.nn.functional as F

EPSILON = 1e-6
POST_EPSILON = 1e-5
EMBEDDED = 256


class Network:
    """A checkpoint's functions over its parameters, which may change in place. It computes in the parameters' precision."""

    def __init__(self, config, p, compiled=False):
        encoder = config["conditioner"]["params"]["main_image_encoder"]["kwargs"]
        dino, dit, vae = encoder["config"], config["model"]["params"], config["vae"]["params"]
        if dino.get("use_swiglu_ffn") or dit.get("guidance_embed") is not True:
            raise ValueError("this is made for the starter model: a plain MLP in the encoder, a guidance embedding")
        made = (lambda function: torch.compile(function, dynamic=False)) if compiled else (lambda function: function)
        self.functions = {f.__name__: made(f) for f in (first_tokens, encoder_block, double_block, single_block, decoder_block, ask)}
        at = "conditioner.main_image_encoder.model."
        self.encoder = inside(p, at)
        self.encoder_blocks = [inside(p, f"{at}encoder.layer.{index}.") for index in range(dino["num_hidden_layers"])]
        self.denoiser = inside(p, "model.")
        self.double_blocks = [inside(p, f"model.double_blocks.{index}.") for index in range(dit["depth"])]
        self.single_blocks = [inside(p, f"model.single_blocks.{index}.") for index in range(dit["depth_single_blocks"])]
        self.vae = inside(p, "vae.")
        self.decoder_blocks = [inside(p, f"vae.transformer.resblocks.{index}.") for index in range(vae["num_decoder_layers"])]
        self.geometry = inside(p, "vae.geo_decoder.")
        self.patch, self.epsilon = dino["patch_size"], dino.get("layer_norm_eps", EPSILON)
        self.heads = {"encoder": dino["num_attention_heads"], "denoiser": dit["num_heads"], "decoder": vae["heads"]}
        self.heads["geometry"] = vae["heads"] // vae.get("geo_decoder_downsample_ratio", 1)
        self.period, self.scale = dit.get("time_factor", 1000.0), vae.get("scale_factor", 1.0)
        unit = math.pi if vae.get("include_pi", True) else 1.0
        frequencies = [unit * 2.0**power for power in range(vae.get("num_freqs", 8))]
        self.frequencies = torch.tensor(frequencies, device=next(iter(p.values())).device)

    def logits(self, pictures, noise, points, guidance):
        """Pictures `[batch, 3, size, size]`, noise `[1, latents, channels]`, points `[batch, points, 3]` → `[batch, points]`."""
        condition = self.encode(pictures)
        noise = noise.expand(pictures.shape[0], -1, -1).to(condition.dtype)
        return self.decode(noise + self.velocity(noise, condition, torch.zeros_like(guidance), guidance), points)

    def encode(self, pictures):
        """→ condition tokens `[batch, 1 + patches, width]`."""
        x = self.functions["first_tokens"](self.encoder, pictures, self.patch)
        for block in self.encoder_blocks:
            x = self.functions["encoder_block"](block, x, self.heads["encoder"], self.epsilon)
        return layer_norm(self.encoder, "layernorm", x, self.epsilon)

    def velocity(self, latents, condition, time, guidance):
        """→ as latents, `[batch, latents, channels]`."""
        p, device = self.denoiser, latents.device
        vector = embedder(p, "time_in", embed(time, self.period, device))
        vector = F.silu(vector + embedder(p, "guidance_in", embed(guidance, self.period, device)))
        # A row for each of the batch, though they are alike: of one row for all, PyTorch 2.11's compiled blocks made gradients that were
        # not finite.
        vector = vector.repeat(latents.shape[0], 1, 1)
        x, c = linear(p, "latent_in", latents), linear(p, "cond_in", condition)
        for block in self.double_blocks:
            x, c = self.functions["double_block"](block, x, c, vector, self.heads["denoiser"])
        count = c.shape[1]
        x = torch.cat([c, x], 1)
        for block in self.single_blocks:
            x = self.functions["single_block"](block, x, vector, self.heads["denoiser"])
        shift, scale = linear(p, "final_layer.adaLN_modulation.1", vector).chunk(2, -1)
        return linear(p, "final_layer.linear", modulate(x[:, count:], shift, scale))

    def decode(self, latents, points):
        """The field's logits at points, positive inside, `[batch, points]`."""
        x = linear(self.vae, "post_kl", latents / self.scale)
        for block in self.decoder_blocks:
            x = self.functions["decoder_block"](block, x, self.heads["decoder"])
        return self.functions["ask"](self.geometry, x, points, self.frequencies, self.heads["geometry"])


def inside(p, prefix):
    """The parameters below a name, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in p.items() if name.startswith(prefix)}


def first_tokens(p, pictures, patch):
    name = "embeddings.patch_embeddings.projection."
    tokens = F.conv2d(pictures.to(p[name + "weight"].dtype), p[name + "weight"], p[name + "bias"], stride=patch).flatten(2).transpose(1, 2)
    place = p["embeddings.position_embeddings"]
    first = (p["embeddings.cls_token"] + place[:, :1]).expand(tokens.shape[0], -1, -1)
    return torch.cat([first, tokens + place[:, 1:]], 1)


def encoder_block(p, x, heads, epsilon):
    normed = layer_norm(p, "norm1", x, epsilon)
    q, k, v = (split(linear(p, f"attention.attention.{part}", normed), heads) for part in ("query", "key", "value"))
    x = x + p["layer_scale1.lambda1"] * linear(p, "attention.output.dense", attend(q, k, v))
    middle = F.gelu(linear(p, "mlp.fc1", layer_norm(p, "norm2", x, epsilon)))
    return x + p["layer_scale2.lambda1"] * linear(p, "mlp.fc2", middle)


def double_block(p, x, c, vector, heads):
    own, theirs = linear(p, "img_mod.lin", vector).chunk(6, -1), linear(p, "txt_mod.lin", vector).chunk(6, -1)
    parts = [stream(p, "txt", c, theirs, heads), stream(p, "img", x, own, heads)]
    attention = attend(*(torch.cat(part, 2) for part in zip(*parts)))
    count = c.shape[1]
    c = finish(p, "txt", c, attention[:, :count], theirs)
    return finish(p, "img", x, attention[:, count:], own), c


def single_block(p, x, vector, heads):
    width = x.shape[-1]
    shift, scale, gate = linear(p, "modulation.lin", vector).chunk(3, -1)
    both = linear(p, "linear1", modulate(x, shift, scale))
    q, k, v = (split(part, heads) for part in both[..., : 3 * width].chunk(3, -1))
    q, k = rms_norm(p, "norm.query_norm", q), rms_norm(p, "norm.key_norm", k)
    middle = F.gelu(both[..., 3 * width :], approximate="tanh")
    return x + gate * linear(p, "linear2", torch.cat([attend(q, k, v), middle], -1))


def decoder_block(p, x, heads):
    qkv = linear(p, "attn.c_qkv", layer_norm(p, "ln_1", x, EPSILON))
    q, k, v = split(qkv, heads).chunk(3, -1)
    q, k = head_norms(p, "attn.attention", q, k)
    x = x + linear(p, "attn.c_proj", attend(q, k, v))
    middle = F.gelu(linear(p, "mlp.c_fc", layer_norm(p, "ln_2", x, EPSILON)))
    return x + linear(p, "mlp.c_proj", middle)


def ask(p, x, points, frequencies, heads):
    block = "cross_attn_decoder."
    if "latents_proj.weight" in p:
        x = linear(p, "latents_proj", x)
    kv = linear(p, block + "attn.c_kv", layer_norm(p, block + "ln_2", x, EPSILON))
    k, v = split(kv, heads).chunk(2, -1)
    angles = (points[..., None] * frequencies).flatten(2)
    embedded = torch.cat([points, angles.sin(), angles.cos()], -1)
    x = linear(p, "query_proj", embedded.to(p["query_proj.weight"].dtype))
    q = split(linear(p, block + "attn.c_q", layer_norm(p, block + "ln_1", x, EPSILON)), heads)
    q, k = head_norms(p, block + "attn.attention", q, k)
    x = x + linear(p, block + "attn.c_proj", attend(q, k, v))
    middle = F.gelu(linear(p, block + "mlp.c_fc", layer_norm(p, block + "ln_3", x, EPSILON)))
    x = x + linear(p, block + "mlp.c_proj", middle)
    if "ln_post.weight" in p:
        x = layer_norm(p, "ln_post", x, POST_EPSILON)
    return linear(p, "output_proj", x).squeeze(-1)


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
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


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
    return linear(p, name + ".out_layer", F.silu(linear(p, name + ".in_layer", x.to(p[name + ".in_layer.weight"].dtype))))
