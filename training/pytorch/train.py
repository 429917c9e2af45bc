#!/usr/bin/env python3
"""Trains the starter model in PyTorch: the same network, data, loss and optimiser as `orfeas-train train`.

    orfeas-train data --count N --out DATA &        # shards, made while they are learned from
    training/pytorch/train.py --first FIRST --noise NOISE --data DATA --folder RUN --minutes 9

FIRST is a checkpoint folder: `orfeas-train train --minutes 0 ...` leaves one with first weights (`RUN/model`), and a run that
was carried elsewhere goes on from its `model` with `--begin N`. In one place a run goes on from `RUN/state.pt` by itself.
NOISE is what `orfeas model trace FIRST --steps 1 --image PICTURE -o NOISE` writes: every shape begins with its latents_0.
"""

import argparse
import json
import math
import shutil
import time
from pathlib import Path

import torch
import yaml
from network import Network
from safetensors.torch import load_file, save_file
from samples import Samples

BETAS = (0.9, 0.98)
LAST = 0.01


def rate(plan, step, since):
    """Up in a line from where the optimiser began, down along a cosine to a hundredth."""
    share = min(step / plan["steps"], 1.0)
    down = LAST + (1.0 - LAST) * 0.5 * (1.0 + math.cos(math.pi * share))
    return plan["learning_rate"] * min((step - since + 1) / plan["warm_up"], 1.0) * down


def export(mean, source, folder):
    """The mean of weights as a checkpoint folder, under another name first."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "config.yaml", folder / "config.yaml")
    part = folder / "model.fp16.tmp"
    save_file({name: value.half().contiguous().cpu() for name, value in mean.items()}, part)
    part.rename(folder / "model.fp16.safetensors")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=Path, required=True, help="checkpoint folder with the first weights")
    parser.add_argument("--noise", type=Path, required=True, help="safetensors with latents_0 (orfeas model trace)")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--begin", type=int, default=0, help="steps that the first weights have behind them")
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--log-every", type=int, default=100)
    parser.add_argument("--save-every", type=int, default=5000)
    for name, kind, value in [
        ("steps", int, 50_000), ("batch", int, 128), ("points", int, 2048), ("learning-rate", float, 4e-4),
        ("warm-up", int, 1000), ("weight-decay", float, 0.01), ("clip", float, 1.0), ("mean-decay", float, 0.9995),
        ("window", int, 8192), ("reuse", int, 32), ("seed", int, 7),
    ]:
        parser.add_argument(f"--{name}", type=kind, default=value)
    return parser.parse_args()


def main():
    options = arguments()
    names = "steps batch points learning_rate warm_up weight_decay clip mean_decay window reuse seed".split()
    plan = {name: getattr(options, name) for name in names}
    device = torch.device(options.device)
    torch.backends.cuda.matmul.allow_tf32 = True
    config = yaml.safe_load((options.first / "config.yaml").read_text())
    network = Network(config)
    side = config["conditioner"]["params"]["main_image_encoder"]["kwargs"]["image_size"]
    p = {name: value.float().to(device).requires_grad_() for name, value in load_file(options.first / "model.fp16.safetensors").items()}
    mean = {name: value.detach().clone() for name, value in p.items()}
    noise = load_file(options.noise)["latents_0"].to(device).reshape(1, config["vae"]["params"]["num_latents"], -1)
    matrices = [value for name, value in p.items() if value.dim() > 1 and name.endswith(".weight")]
    others = [value for name, value in p.items() if not (value.dim() > 1 and name.endswith(".weight"))]
    groups = [{"params": matrices, "weight_decay": plan["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=1e-8, fused=device.type == "cuda")
    options.folder.mkdir(parents=True, exist_ok=True)
    state, step, since = options.folder / "state.pt", options.begin, options.begin
    if state.exists():
        kept = torch.load(state, map_location=device, weights_only=True)
        if kept["plan"] | {"steps": plan["steps"]} != plan:
            raise SystemExit(f"{state} is of another plan: {kept['plan']}")
        step, since = kept["step"], kept["since"]
        optimiser.load_state_dict(kept["optimiser"])
        with torch.no_grad():
            for name in p:
                p[name].copy_(kept["weights"][name])
                mean[name].copy_(kept["mean"][name])

    def loss_of(pictures, points, occupancy, guidance):
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = network.logits(p, pictures, noise, points, guidance)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), occupancy)

    compiled = loss_of if options.no_compile else torch.compile(loss_of)
    samples = Samples(options.data, plan, step, side, device)

    def save():
        weights = {name: value.detach() for name, value in p.items()}
        kept = {"plan": plan, "step": step, "since": since, "optimiser": optimiser.state_dict(), "weights": weights, "mean": mean}
        torch.save(kept, state.with_suffix(".tmp"))
        state.with_suffix(".tmp").rename(state)
        export(mean, options.first, options.folder / "model")

    total, count, began, last = torch.zeros((), device=device), 0, time.monotonic(), time.monotonic()
    while step < plan["steps"] and time.monotonic() - began < 60 * options.minutes:
        for group in optimiser.param_groups:
            group["lr"] = rate(plan, step, since)
        guidance = torch.rand((), generator=torch.Generator().manual_seed(plan["seed"] + step)).mul(9).add(1).to(device)
        loss = compiled(*samples.batch(step), guidance)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(p.values(), plan["clip"])
        optimiser.step()
        keep = min(plan["mean_decay"], (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(mean.values()), list(p.values()), 1.0 - keep)
        total, count, step = total + loss.detach(), count + 1, step + 1
        if step % options.log_every == 0 or step == plan["steps"]:
            value, seconds = total.item() / count, (time.monotonic() - last) / count
            if not math.isfinite(value):
                raise SystemExit(f"the loss became {value}: a lower learning rate may mend that")
            line = {"step": step, "loss": value, "rate": rate(plan, step, since), "seconds": seconds, "waited": samples.waited}
            print(json.dumps(line), flush=True)
            with (options.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            total, count, last = torch.zeros((), device=device), 0, time.monotonic()
        if step % options.save_every == 0:
            save()
    save()
    print(f"{step} steps are done; the model is in {options.folder / 'model'}")


if __name__ == "__main__":
    main()
