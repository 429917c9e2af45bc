#!/usr/bin/env python3
"""Holds PyTorch's network against the product's: `compare.py MODEL STAGES`, STAGES from

    orfeas model trace MODEL --steps 1 --guidance 5 --image PICTURE -o STAGES
"""

import sys
from pathlib import Path

import torch
import yaml
from network import Network
from safetensors.torch import load_file


def main():
    folder, stages = Path(sys.argv[1]), load_file(sys.argv[2])
    p = {name: value.float() for name, value in load_file(folder / "model.fp16.safetensors").items()}
    config = yaml.safe_load((folder / "config.yaml").read_text())
    network = Network(config, p)
    noise = stages["latents_0"].reshape(1, config["vae"]["params"]["num_latents"], -1)
    grid = stages["grid_vanilla_32"]
    axis = torch.linspace(-1.01, 1.01, grid.shape[-1])
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    with torch.no_grad():
        condition = network.encode(stages["dino_input"])
        velocity = network.velocity(noise, condition, 0.0, 5.0)
        logits = network.decode(noise + velocity, points)
    worst = 0.0
    for name, own in [("cond", condition), ("velocity_0", velocity), ("grid_vanilla_32", logits)]:
        theirs = stages[name].reshape(own.shape)
        far = ((own - theirs).norm() / theirs.norm()).item()
        worst = max(worst, far)
        print(f"{name:<12} {far:.1e}")
    if not worst < 1e-4:
        raise SystemExit("the two networks differ")


if __name__ == "__main__":
    main()
