"""Writes a checkpoint of Hunyuan3D-2's full size (v2-0) with random weights, in float16: what loading and a cold start are timed with.

`random_checkpoint.py DIR [--small]` makes config.yaml and model.fp16.safetensors, 4.59 GiB. Nothing but Python is needed. `--small` makes
one of a few megabytes with the same names, for trying this script out.
"""

import argparse
import json
import pathlib
import random
import struct

FULL = {"W": 1024, "HEADS": 16, "D": 1536, "D_HEADS": 24, "LAYERS": 40, "DOUBLE": 16, "SINGLE": 32, "DECODER": 16, "LATENTS": 3072, "SIDE": 518}
SMALL = {"W": 128, "HEADS": 2, "D": 128, "D_HEADS": 2, "LAYERS": 2, "DOUBLE": 2, "SINGLE": 2, "DECODER": 2, "LATENTS": 96, "SIDE": 70}

CONFIG = """\
model:
  target: hy3dgen.shapegen.models.Hunyuan3DDiT
  params: {{in_channels: 64, context_in_dim: {D}, hidden_size: {W}, mlp_ratio: 4.0, num_heads: {HEADS}, depth: {DOUBLE},
    depth_single_blocks: {SINGLE}, axes_dim: [64], theta: 10000, qkv_bias: true}}
vae:
  target: hy3dgen.shapegen.models.ShapeVAE
  params: {{num_latents: {LATENTS}, embed_dim: 64, num_freqs: 8, include_pi: false, heads: {HEADS}, width: {W},
    num_decoder_layers: {DECODER}, qkv_bias: false, qk_norm: true, scale_factor: 0.9990943042622529}}
conditioner:
  target: hy3dgen.shapegen.models.SingleImageEncoder
  params:
    main_image_encoder:
      type: DinoImageEncoder
      kwargs:
        config: {{hidden_act: gelu, hidden_size: {D}, image_size: {SIDE}, layer_norm_eps: 1.0e-06, mlp_ratio: 4, model_type: dinov2,
          num_attention_heads: {D_HEADS}, num_channels: 3, num_hidden_layers: {LAYERS}, patch_size: 14, qkv_bias: true, use_swiglu_ffn: true}}
        image_size: {SIDE}
scheduler:
  target: hy3dgen.shapegen.schedulers.FlowMatchEulerDiscreteScheduler
  params: {{num_train_timesteps: 1000}}
image_processor:
  target: hy3dgen.shapegen.preprocessors.ImageProcessorV2
  params: {{size: 512}}
pipeline:
  target: hy3dgen.shapegen.pipelines.Hunyuan3DDiTFlowMatchingPipeline
"""


def linear(name, inputs, outputs, bias=True):
    yield f"{name}.weight", [outputs, inputs]
    if bias:
        yield f"{name}.bias", [outputs]


def norm(name, width):
    yield f"{name}.weight", [width]
    yield f"{name}.bias", [width]


def conditioner(s):
    width, at = s["D"], "conditioner.main_image_encoder.model"
    middle = (int(width * 4 * 2 / 3) + 7) // 8 * 8
    yield f"{at}.embeddings.cls_token", [1, 1, width]
    yield f"{at}.embeddings.mask_token", [1, width]
    yield f"{at}.embeddings.position_embeddings", [1, (s["SIDE"] // 14) ** 2 + 1, width]
    yield f"{at}.embeddings.patch_embeddings.projection.weight", [width, 3, 14, 14]
    yield f"{at}.embeddings.patch_embeddings.projection.bias", [width]
    for layer in range(s["LAYERS"]):
        block = f"{at}.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            yield from linear(f"{block}.attention.attention.{part}", width, width)
        yield from linear(f"{block}.attention.output.dense", width, width)
        yield from linear(f"{block}.mlp.weights_in", width, 2 * middle)
        yield from linear(f"{block}.mlp.weights_out", middle, width)
        for which in "12":
            yield from norm(f"{block}.norm{which}", width)
            yield f"{block}.layer_scale{which}.lambda1", [width]
    yield from norm(f"{at}.layernorm", width)


def denoiser(s):
    width, head = s["W"], s["W"] // s["HEADS"]
    yield from linear("model.latent_in", 64, width)
    yield from linear("model.time_in.in_layer", 256, width)
    yield from linear("model.time_in.out_layer", width, width)
    yield from linear("model.cond_in", s["D"], width)
    for index in range(s["DOUBLE"]):
        for stream in ("img", "txt"):
            block = f"model.double_blocks.{index}.{stream}"
            yield from linear(f"{block}_mod.lin", width, 6 * width)
            yield from linear(f"{block}_attn.qkv", width, 3 * width)
            yield from linear(f"{block}_attn.proj", width, width)
            yield f"{block}_attn.norm.query_norm.scale", [head]
            yield f"{block}_attn.norm.key_norm.scale", [head]
            yield from linear(f"{block}_mlp.0", width, 4 * width)
            yield from linear(f"{block}_mlp.2", 4 * width, width)
    for index in range(s["SINGLE"]):
        block = f"model.single_blocks.{index}"
        yield from linear(f"{block}.linear1", width, 7 * width)
        yield from linear(f"{block}.linear2", 5 * width, width)
        yield from linear(f"{block}.modulation.lin", width, 3 * width)
        yield f"{block}.norm.query_norm.scale", [head]
        yield f"{block}.norm.key_norm.scale", [head]
    yield from linear("model.final_layer.adaLN_modulation.1", width, 2 * width)
    yield from linear("model.final_layer.linear", width, 64)


def vae(s):
    width, head = s["W"], s["W"] // s["HEADS"]

    def attention(at):
        yield from norm(f"{at}.attn.attention.q_norm", head)
        yield from norm(f"{at}.attn.attention.k_norm", head)
        yield from linear(f"{at}.attn.c_proj", width, width)
        yield from linear(f"{at}.mlp.c_fc", width, 4 * width)
        yield from linear(f"{at}.mlp.c_proj", 4 * width, width)
        yield from norm(f"{at}.ln_1", width)
        yield from norm(f"{at}.ln_2", width)

    yield from linear("vae.post_kl", 64, width)
    for index in range(s["DECODER"]):
        block = f"vae.transformer.resblocks.{index}"
        yield from linear(f"{block}.attn.c_qkv", width, 3 * width, bias=False)
        yield from attention(block)
    geo = "vae.geo_decoder"
    yield from linear(f"{geo}.query_proj", 51, width)
    yield from linear(f"{geo}.output_proj", width, 1)
    yield from norm(f"{geo}.ln_post", width)
    yield from linear(f"{geo}.cross_attn_decoder.attn.c_q", width, width, bias=False)
    yield from linear(f"{geo}.cross_attn_decoder.attn.c_kv", width, 2 * width, bias=False)
    yield from norm(f"{geo}.cross_attn_decoder.ln_3", width)
    yield from attention(f"{geo}.cross_attn_decoder")


def block_of(name, shape, blocks):
    """A few ten thousand values to repeat: matrices by their fan-in, so that signals keep their size; gains around 1."""
    gain = name.endswith(".scale") or name.endswith(".weight") and len(shape) == 1
    if gain or name.endswith("lambda1"):
        centre, half = (1.0 if gain else 0.5), 0.1
    elif len(shape) > 1 and name.endswith(".weight"):
        fan_in = 1
        for size in shape[1:]:
            fan_in *= size
        centre, half = 0.0, (3 / fan_in) ** 0.5
    else:
        centre, half = 0.0, 0.05
    if (centre, half) not in blocks:
        # A prime, so that rows of a matrix are not each other's copies.
        values = [random.uniform(centre - half, centre + half) for _ in range(65_521)]
        blocks[centre, half] = struct.pack(f"<{len(values)}e", *values)
    return blocks[centre, half]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--small", action="store_true")
    options = arguments.parse_args()
    sizes = SMALL if options.small else FULL
    random.seed(1)
    header, end = {}, 0
    for name, shape in [*conditioner(sizes), *denoiser(sizes), *vae(sizes)]:
        count = 1
        for size in shape:
            count *= size
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + 2 * count]}
        end += 2 * count
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "config.yaml").write_text(CONFIG.format(**sizes))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    blocks = {}
    with open(options.folder / "model.fp16.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, info in header.items():
            begin, end = info["data_offsets"]
            block = block_of(name, info["shape"], blocks)
            whole, rest = divmod(end - begin, len(block))
            for _ in range(whole):
                file.write(block)
            file.write(block[:rest])


main()
