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
from network import Network
from safetensors.torch import load_file, save_file
from samples import STEEPNESS, Judged, Samples
from weights import Layout, Optimiser


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


def captured(work):
    """A GPU's work as one launch instead of thousands. What it reads and writes must stay where it is."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        # What is compiled or chosen at the first call is so before it is recorded.
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # Other threads (NCCL's) may ask the GPU something meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay


def missed(said, true):
    """1 - intersection over union of occupancies between 0 and 1, `[batch, points]` anywhere in the box (Rahman and Wang 2016)."""
    both = (said * true).sum(1)
    return (1.0 - both / (said.sum(1) + true.sum(1) - both).clamp(min=1.0)).mean()


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
    parser.add_argument("--optimiser", choices=["adamw", "muon"], default="adamw")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-graph", action="store_true", help="launch each kernel of a step by itself")
    parser.add_argument("--log-every", type=int, default=100)
    parser.add_argument("--judge-every", type=int, default=2000)
    parser.add_argument("--save-every", type=int, default=5000)
    parser.add_argument("--keep", type=int, action="append", default=[], help="a step whose model stays, as RUN/model-STEP (see average.py)")
    for name, kind, value in [
        ("muon-ratio", float, 2.0), ("steps", int, 50_000), ("batch", int, 128), ("points", int, 2048), ("learning-rate", float, 4e-4),
        ("warm-up", int, 1000), ("down", float, 0.3), ("weight-decay", float, 0.01), ("clip", float, 1.0),
        ("mean-decay", float, 0.9995), ("first-samples", int, 4096), ("window", int, 131_072), ("reuse", int, 32), ("colours", int, 1),
        ("stretch", float, 0.0), ("steepness", float, STEEPNESS), ("overlap", float, 0.0),
        ("seed", int, 7),
    ]:
        parser.add_argument(f"--{name}", type=kind, default=value)
    return parser.parse_args()


def main():
    options = arguments()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device(options.device, int(os.environ.get("LOCAL_RANK", 0)) if options.device == "cuda" else None)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    names = "optimiser muon_ratio steps batch points learning_rate warm_up down weight_decay clip mean_decay window reuse colours stretch steepness overlap seed".split()
    plan = {name: getattr(options, name) for name in names} | {"first": options.first_samples}
    torch.backends.cuda.matmul.allow_tf32 = True
    config = yaml.safe_load((options.first / "config.yaml").read_text())
    side = config["conditioner"]["params"]["main_image_encoder"]["kwargs"]["image_size"]
    loaded = load_file(options.first / "model.fp16.safetensors")
    layout = Layout({name: tuple(value.shape) for name, value in loaded.items()}, plan["optimiser"] == "muon")
    # Weights are kept in float32; the network computes with copies of them. The last place of the gradient is the loss's.
    precision = torch.bfloat16 if device.type == "cuda" else torch.float32
    vector = lambda precision=torch.float32, more=0: torch.zeros(layout.size + more, dtype=precision, device=device)
    weights, mean, gradient, copies, judged_copies = vector(), vector(), vector(more=1), vector(precision), vector(precision)
    for name, place in layout.views(weights).items():
        place.copy_(loaded[name])
    mean.copy_(weights)
    copies.copy_(weights)
    own = {name: value.requires_grad_() for name, value in layout.views(copies).items()}
    gradients = list(layout.views(gradient).values())
    network = Network(config, own, compiled=not options.no_compile)
    judged_network = Network(config, layout.views(judged_copies))
    noise = load_file(options.noise)["latents_0"].to(device).reshape(1, config["vae"]["params"]["num_latents"], -1)
    optimiser = Optimiser(layout, device, plan["muon_ratio"], plan["weight_decay"])
    options.folder.mkdir(parents=True, exist_ok=True)
    state, step, since = options.folder / "state.pt", options.begin, options.begin
    if state.exists():
        kept = torch.load(state, map_location=device, weights_only=True)
        if kept["plan"] | {"steps": plan["steps"], "down": plan["down"]} != plan:
            raise SystemExit(f"{state} is of another plan: {kept['plan']}")
        if kept.get("places") != layout.places:
            raise SystemExit(f"{state} keeps its weights in another order: go on from {options.folder / 'model'} with --begin {kept['step']}")
        step, since = kept["step"], kept["since"]
        optimiser.resume(kept["optimiser"])
        for target, name in [(weights, "weights"), (mean, "mean"), (copies, "weights")]:
            target.copy_(kept[name])
        del kept

    samples = Samples(options.data, plan, step, side, device, rank, world)
    judged = {folder.name: Judged(folder, side, device) for folder in options.judge if rank == 0}

    def save():
        if not weights.isfinite().all():
            raise SystemExit("the weights are no numbers any more; what was saved before stays")
        kept = {"plan": plan, "step": step, "since": since, "places": layout.places}
        kept |= {"weights": weights, "mean": mean, "optimiser": optimiser.state()}
        torch.save(kept, state.with_suffix(".tmp"))
        state.with_suffix(".tmp").rename(state)
        export(layout.views(mean), options.first, options.folder / "model")

    def say(line):
        print(json.dumps(line), flush=True)
        with (options.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def judge():
        judged_copies.copy_(mean)
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

    # What a step reads: pictures, points, occupancy.
    places = []

    def learn():
        pictures, points, occupancy = places
        logits = network.logits(pictures, noise, points, guidance).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, occupancy)
        if plan["overlap"] > 0.0:
            loss = loss + plan["overlap"] * missed(logits[:, 1::2].sigmoid(), (occupancy[:, 1::2] > 0.5).float())
        torch._foreach_copy_(gradients, list(torch.autograd.grad(loss, list(own.values()))))
        gradient[-1] = loss.detach()

    paced, guidance, learned = [], torch.ones((), device=device), None
    total, count, began, last = torch.zeros((), device=device), 0, time.monotonic(), time.monotonic()
    with samples:
        while step < plan["steps"] and (step % 20 > 0 or goes_on()):
            random = torch.Generator(device).manual_seed(plan["seed"] + step)
            guidance.copy_(torch.rand((), generator=random, device=device).mul(9).add(1))
            read = samples.batch(step)
            if not places:
                places.extend(part.clone() for part in read)
            for place, part in zip(places, read):
                place.copy_(part)
            first = learned is None
            if first:
                learned = learn if options.no_graph or device.type != "cuda" else captured(learn)
            learned()
            if world > 1:
                dist.all_reduce(gradient)
                gradient /= world
            # Said at once, and not when the minutes are gone. Summed up it is the same to all processes, which so end together.
            if first and not gradient.isfinite().all():
                raise SystemExit("the first gradient is not finite: try --no-graph, then --no-compile")
            loss, slope = gradient[-1].clone(), gradient[:-1]
            slope.mul_((plan["clip"] / (slope.norm() + 1e-6)).clamp(max=1.0))
            optimiser.step(weights, slope, rate(plan, step, since))
            mean.lerp_(weights, 1.0 - min(plan["mean_decay"], (1 + step) / (10 + step)))
            with torch.no_grad():
                copies.copy_(weights)
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
            if step in options.keep:
                export(layout.views(mean), options.first, options.folder / f"model-{step}")
    if rank == 0:
        save()
        print(f"{step} steps are done; the model is in {options.folder / 'model'}")
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
