#!/usr/bin/env python3
"""Trains the starter model in PyTorch: the network, data and loss of `orfeas-train train`, on one GPU or several.

    orfeas-train data --count N --out DATA &        # shards, made while they are learned from
    training/pytorch/train.py --first FIRST --noise NOISE --data DATA --folder RUN --minutes 9
    torchrun --nproc-per-node 2 training/pytorch/train.py ...   # the batch shared among two GPUs

FIRST is a checkpoint folder: `orfeas-train train --minutes 0 ...` leaves one with first weights (`RUN/model`), and a run that
was carried elsewhere goes on from its `model` with `--begin N`. In one place a run goes on from `RUN/state.pt` by itself.
NOISE is what `orfeas model trace FIRST --steps 1 --image PICTURE -o NOISE` writes: every shape begins with its latents_0.
`--fit` sets the number of steps by the speed that shows, so that the last one falls into the last of the minutes.
`--judge DIR` (several times) names shards of held-out objects; `RUN/log.jsonl` says how well they are predicted.
"""

import argparse
import json
import math
import os
import shutil
import time
from pathlib import Path

import torch
import torch.distributed as dist
import yaml
from muon import Muon
from network import Network
from safetensors.torch import load_file, save_file
from samples import Judged, Samples

BETAS = (0.9, 0.98)


def rate(plan, step, since):
    """Up in a line from where the optimiser began, level, then down in a line to nothing (Hägele et al. 2024)."""
    up = (step - since + 1) / max(plan["warm_up"], 1)
    down = (plan["steps"] - step) / max(plan["down"] * plan["steps"], 1)
    return plan["learning_rate"] * max(min(up, down, 1.0), 0.0)


def export(mean, source, folder):
    """The mean of weights as a checkpoint folder, under another name first."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "config.yaml", folder / "config.yaml")
    part = folder / "model.fp16.tmp"
    save_file({name: value.half().contiguous().cpu() for name, value in mean.items()}, part)
    part.rename(folder / "model.fp16.safetensors")


@torch.no_grad()
def copy(source, target):
    torch._foreach_copy_([target[name] for name in source], list(source.values()))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=Path, required=True, help="checkpoint folder with the first weights")
    parser.add_argument("--noise", type=Path, required=True, help="safetensors with latents_0 (orfeas model trace)")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--judge", type=Path, action="append", default=[], help="shards of objects that are not learned from")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--begin", type=int, default=0, help="steps that the first weights have behind them")
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--fit", action="store_true", help="as many steps as the minutes hold")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--log-every", type=int, default=100)
    parser.add_argument("--judge-every", type=int, default=2000)
    parser.add_argument("--save-every", type=int, default=5000)
    for name, kind, value in [
        ("optimiser", str, "adamw"), ("muon-ratio", float, 2.0), ("steps", int, 50_000), ("batch", int, 128), ("points", int, 2048), ("learning-rate", float, 4e-4),
        ("warm-up", int, 1000), ("down", float, 0.3), ("weight-decay", float, 0.01), ("clip", float, 1.0),
        ("mean-decay", float, 0.9995), ("first-samples", int, 4096), ("window", int, 131_072), ("reuse", int, 32), ("colours", int, 1),
        ("seed", int, 7),
    ]:
        parser.add_argument(f"--{name}", type=kind, default=value)
    return parser.parse_args()


def optimisers_of(plan, p, device):
    """By what each parameter is: matrices that mix channels may go to Muon, all others to AdamW."""
    matrix = {name: value.dim() > 1 and name.endswith(".weight") for name, value in p.items()}
    # What modulates begins as nothing; the first and last layers speak to something other than channels.
    apart = ("modulation", "_mod.lin", "patch_embeddings", "latent_in", "time_in", "guidance_in", "final_layer", "query_proj", "output_proj")
    mixing = [name for name in p if plan["optimiser"] == "muon" and matrix[name] and not any(part in name for part in apart)]
    groups = [
        {"params": [p[name] for name in p if matrix[name] and name not in mixing], "weight_decay": plan["weight_decay"]},
        {"params": [p[name] for name in p if not matrix[name]], "weight_decay": 0.0},
    ]
    optimisers = [torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=1e-8, fused=device.type == "cuda")]
    if mixing:
        optimisers.append(Muon([p[name] for name in mixing], plan["muon_ratio"], weight_decay=plan["weight_decay"]))
    return optimisers


def main():
    options = arguments()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device(options.device, int(os.environ.get("LOCAL_RANK", 0)) if options.device == "cuda" else None)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    names = "optimiser muon_ratio steps batch points learning_rate warm_up down weight_decay clip mean_decay window reuse colours seed".split()
    plan = {name: getattr(options, name) for name in names} | {"first": options.first_samples}
    torch.backends.cuda.matmul.allow_tf32 = True
    config = yaml.safe_load((options.first / "config.yaml").read_text())
    side = config["conditioner"]["params"]["main_image_encoder"]["kwargs"]["image_size"]
    weights = load_file(options.first / "model.fp16.safetensors")
    p = {name: value.float().to(device) for name, value in weights.items()}
    mean = {name: value.clone() for name, value in p.items()}
    # Weights are kept in float32; the network computes with copies of them.
    precision = torch.bfloat16 if device.type == "cuda" else torch.float32
    own = {name: value.to(precision, copy=True).requires_grad_() for name, value in p.items()}
    judged_p = {name: value.detach().clone() for name, value in own.items()}
    network, judged_network = Network(config, own, compiled=not options.no_compile), Network(config, judged_p)
    noise = load_file(options.noise)["latents_0"].to(device).reshape(1, config["vae"]["params"]["num_latents"], -1)
    optimisers = optimisers_of(plan, p, device)
    options.folder.mkdir(parents=True, exist_ok=True)
    state, step, since = options.folder / "state.pt", options.begin, options.begin
    if state.exists():
        kept = torch.load(state, map_location=device, weights_only=True)
        if kept["plan"] | {"steps": plan["steps"], "down": plan["down"]} != plan:
            raise SystemExit(f"{state} is of another plan: {kept['plan']}")
        step, since = kept["step"], kept["since"]
        for optimiser, moments in zip(optimisers, kept["optimisers"]):
            optimiser.load_state_dict(moments)
        for name in p:
            p[name].copy_(kept["weights"][name])
            mean[name].copy_(kept["mean"][name])
        copy(p, own)

    samples = Samples(options.data, plan, step, side, device, rank, world)
    judged = {folder.name: Judged(folder, side, device) for folder in options.judge if rank == 0}

    def save():
        kept = {"plan": plan, "step": step, "since": since, "weights": p, "mean": mean}
        torch.save(kept | {"optimisers": [optimiser.state_dict() for optimiser in optimisers]}, state.with_suffix(".tmp"))
        state.with_suffix(".tmp").rename(state)
        export(mean, options.first, options.folder / "model")

    def say(line):
        print(json.dumps(line), flush=True)
        with (options.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def judge():
        copy(mean, judged_p)
        usual = torch.tensor(float(config["orfeas"]["guidance"]), device=device)
        said = lambda pictures, points: judged_network.logits(pictures, noise, points, usual)
        scores = {name: one.score(said) for name, one in judged.items()}
        say({"step": step, "iou": scores})

    def goes_on():
        # All processes stop at the same step, and where the first one says.
        now = time.monotonic()
        steps, stop = plan["steps"], began + 60 * options.minutes
        if len(paced) < 2 or step <= paced[1][0]:
            paced.append((step, now))
        elif options.fit:
            # The first steps compile, and are no measure.
            pace = (now - paced[1][1]) / (step - paced[1][0])
            steps = step + max(int((stop - now) / pace), 0)
        said = torch.tensor([step if now > stop else steps, steps], device=device)
        if world > 1:
            dist.broadcast(said, 0)
        end, plan["steps"] = said.tolist()
        return step < end

    paced = []
    total, count, began, last = torch.zeros((), device=device), 0, time.monotonic(), time.monotonic()
    while step < plan["steps"] and (step % 20 > 0 or goes_on()):
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate(plan, step, since)
        random = torch.Generator(device).manual_seed(plan["seed"] + step)
        guidance = torch.rand((), generator=random, device=device).mul(9).add(1)
        pictures, points, occupancy = samples.batch(step)
        logits = network.logits(pictures, noise, points, guidance).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, occupancy)
        gradients = torch.autograd.grad(loss, list(own.values()))
        flat = torch.cat([gradient.flatten().float() for gradient in gradients] + [loss.detach()[None]])
        if world > 1:
            dist.all_reduce(flat)
            flat /= world
        parts = flat.split([value.numel() for value in p.values()] + [1])
        loss = parts[-1][0]
        for value, part in zip(p.values(), parts):
            value.grad = part.view_as(value)
        torch.nn.utils.clip_grad_norm_(p.values(), plan["clip"])
        for optimiser in optimisers:
            optimiser.step()
        keep = min(plan["mean_decay"], (1 + step) / (10 + step))
        torch._foreach_lerp_(list(mean.values()), list(p.values()), 1.0 - keep)
        copy(p, own)
        total, count, step = total + loss, count + 1, step + 1
        if rank > 0:
            continue
        if step % options.log_every == 0 or step == plan["steps"]:
            value, seconds = total.item() / count, (time.monotonic() - last) / count
            if not math.isfinite(value):
                raise SystemExit(f"the loss became {value}: a lower learning rate may mend that")
            made = samples.end * world
            say({"step": step, "loss": value, "rate": rate(plan, step, since), "seconds": seconds, "samples": made, "waited": samples.waited})
            total, count, last = torch.zeros((), device=device), 0, time.monotonic()
        if judged and (step % options.judge_every == 0 or step == plan["steps"]):
            judge()
        if step % options.save_every == 0:
            save()
    if rank == 0:
        save()
        print(f"{step} steps are done; the model is in {options.folder / 'model'}")
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
