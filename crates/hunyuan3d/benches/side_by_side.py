#!/usr/bin/env python3
"""The whole table of speed on a GPU in one run: PyTorch's times, then ours, on the same card.

    crates/hunyuan3d/benches/side_by_side.py [--orfeas PATH] [--compile] [--out DIR]

Needs a GPU, the binary built with feature cuda, and 5 GB of disk for a checkpoint of random weights. PyTorch (and transformers, for
DINOv2) is used where it is there. A step that fails is said and left out; the others go on, and the exit status is 1. What each step
printed lies in the output folder. `--small --device cpu` tries the script itself out, with sizes that mean nothing.
"""

import argparse
import array
import importlib.util
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]


class Bench:
    def __init__(self, options, scratch):
        self.options, self.scratch, self.failed, self.rows = options, scratch, [], []
        self.env = {**os.environ, "HUNYUAN3D_KERNEL_CACHE": str(scratch / "kernels")}

    def run(self, name, command, env=None, limit=900):
        """What a command printed as JSON, and how long it took as a whole; None where it failed."""
        if self.options.only and not any(name.startswith(one) for one in self.options.only):
            return None, None
        print(f"-- {name}: {' '.join(map(str, command))}", flush=True)
        begin = time.perf_counter()
        try:
            ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=limit, check=False,
                                 env={**self.env, **(env or {})})
            out, error = ran.stdout, ran.stderr
            what = None if ran.returncode == 0 else f"exit status {ran.returncode}"
        except (OSError, subprocess.TimeoutExpired) as failure:
            out, error, what = "", "", str(failure)
        seconds = time.perf_counter() - begin
        (self.options.out / f"{name}.out").write_text(out)
        (self.options.out / f"{name}.err").write_text(error)
        if what is None:
            try:
                return json.loads(out), seconds
            except ValueError:
                what = "no JSON came out"
        print(f"   FAILED: {what}\n   " + "\n   ".join(error.strip().splitlines()[-6:]), flush=True)
        self.failed.append(name)
        return None, seconds

    def done(self, name, command, env=None):
        """Whether a command that prints no JSON succeeded."""
        return self.run(name, [sys.executable, "-c", SAY, *command], env)[0] is not None

    def ours(self, name, *arguments, env=None, checkpoint=False, turbo=False):
        if checkpoint or self.options.small:
            model = ["--checkpoint", self.scratch / "checkpoint"]
        else:
            model = ["--preset", "hunyuan3d-2-turbo" if turbo else "hunyuan3d-2", "--random-weights"]
        command = [self.options.orfeas, "model", "bench", *model, "--device", self.options.device, "--json", *map(str, arguments)]
        report, seconds = self.run(name, command, env)
        if report:
            report["wall_s"] = seconds
        return report or {}

    def row(self, what, reference, ours, aim):
        self.rows.append([what, reference, ours, aim])


def stage(report, name, key="steady_ms"):
    return next((stage.get(key) for stage in report.get("stages", []) if stage["stage"] == name), None)


def each(report, name="step"):
    """The time of a stage over the jobs that it is of."""
    ms = stage(report, name)
    return None if ms is None else ms / (stage(report, name, "jobs") or 1)


def shown(value, unit="", digits=2):
    return "–" if value is None else value if isinstance(value, str) else f"{value:.{digits}f}{unit}"


def rate(report):
    queries, ms = stage(report, "queries", "queries"), stage(report, "queries")
    return queries / ms / 1e3 if queries and ms else None


def seconds(ms):
    return None if ms is None else ms / 1e3


def gib(report):
    return report.get("peak_device_bytes", 0) / 2**30 or None


def field(path, name):
    """A tensor of float32 in a safetensors file, as numbers."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8 : 8 + length])[name]["data_offsets"]
    return array.array("f", data[8 + length + begin : 8 + length + end])


def apart(bench):
    """How far the dense field of a checkpoint is from plain Burn's, as a share of that one's length."""
    files = {}
    for kernels in ("plain", "auto"):
        files[kernels] = bench.scratch / f"field-{kernels}.safetensors"
        command = [bench.options.orfeas, "model", "trace", bench.scratch / "checkpoint", "--image", REPOSITORY / "assets/pictures/clip_teapot.png",
                   "--steps", "5", "--device", bench.options.device, "-o", files[kernels]]
        if not bench.done(f"field-{kernels}", command, env={"HUNYUAN3D_KERNELS": kernels}):
            return None
    plain, own = (field(files[kernels], "grid_vanilla_32") for kernels in ("plain", "auto"))
    return math.dist(plain, own) / math.hypot(*plain)


def measure(bench):
    small = bench.options.small
    resolution, queries, steps = (64, 4096, 2) if small else (384, 1 << 20, 20)
    volume = ["--resolution", resolution, "--decoder", "hierarchical"]
    flash = ["--resolution", resolution, "--decoder", "flashvdm"]

    reference = {}
    if small or bench.options.no_reference:
        pass
    elif importlib.util.find_spec("torch") is None:
        print("-- PyTorch is not there: only our own times", flush=True)
    else:
        extra = ["--compile"] if bench.options.compile else []
        reference = bench.run("reference", [sys.executable, HERE / "reference.py", *extra], limit=1200)[0] or {}

    made = bench.done("checkpoint", [sys.executable, HERE / "random_checkpoint.py", bench.scratch / "checkpoint",
                                     *(["--small"] if small else [])])

    parts = bench.ours("parts", *volume, "--steps", steps, "--queries", queries, "--repeat", 5)
    flash_parts = bench.ours("parts-flashvdm", *flash, "--steps", 2, "--queries", 65536 if not small else 1024, "--repeat", 3)
    mma = bench.ours("parts-mma", *volume, "--steps", 5, "--queries", queries // 4, env={"HUNYUAN3D_KERNELS": "mma"})
    plain = bench.ours("parts-plain", "--resolution", 0, "--steps", 2, "--queries", queries // 16, "--repeat", 1,
                       env={"HUNYUAN3D_KERNELS": "plain"})
    jobs = bench.ours("jobs", "--jobs", *volume, "--steps", 2 if small else 50, "--repeat", 3)
    two = bench.ours("step-of-2", "--batch", 2, "--resolution", 0, "--steps", steps, "--queries", 1024, "--repeat", 1)
    two_turbo = bench.ours("step-of-2-turbo", "--batch", 2, "--resolution", 0, "--steps", steps, "--queries", 1024, "--repeat", 1, turbo=True)
    one_turbo = bench.ours("step-turbo", "--resolution", 0, "--steps", steps, "--queries", 1024, "--repeat", 1, turbo=True)
    many = bench.ours("growth", "--jobs", *flash, "--steps", 2, "--repeat", 20 if small else bench.options.growth, turbo=True)
    turbo = bench.ours("jobs-turbo", "--jobs", *flash, "--steps", 2 if small else 5, "--repeat", 5, turbo=True)
    cold, warm, low, low_three, chunk, far = {}, {}, {}, {}, {}, None
    if made:
        far = apart(bench)
        again = ["--jobs", *volume, "--steps", 2 if small else 5, "--repeat", 0]
        empty = {"HUNYUAN3D_KERNEL_CACHE": str(bench.scratch / "empty")}
        cold = bench.ours("start-without-kernels", *again, checkpoint=True, env=empty)
        warm = bench.ours("start-with-kernels", *again, checkpoint=True, env=empty)
        low = bench.ours("low-vram", "--jobs", "--low-vram", *volume, "--steps", 2 if small else 5, "--chunk", 32768, "--repeat", 2,
                         checkpoint=True)
        low_three = bench.ours("low-vram-of-3", "--jobs", "--low-vram", "--batch", 3, *volume, "--steps", 2 if small else 5,
                               "--chunk", 32768, "--repeat", 2, checkpoint=True)
        chunk = bench.ours("chunk-7168", "--jobs", *volume, "--steps", 2, "--chunk", 7168, "--repeat", 1, checkpoint=True)

    row = bench.row
    row("DiT attention, ms", shown(reference.get("attention 2x16x4442x64 ms"), digits=3), shown(stage(parts, "attention"), digits=3), "0.42")
    row("the same by mma.sync, ms", "–", shown(stage(mma, "attention"), digits=3), "–")
    row("DiT step, CFG, ms", shown(reference.get("step ms")) + " eager, " + shown(reference.get("step, compiled, ms")) + " compiled",
        shown(stage(parts, "step")), "44, better 36")
    row("the same by mma.sync, ms", "–", shown(stage(mma, "step")), "–")
    row("the same of 2 jobs in one batch, ms a job", "–", shown(each(two)), "–")
    row("turbo's step, ms", "–", shown(stage(one_turbo, "step")), "–")
    row("the same of 2 jobs in one batch, ms a job", "–", shown(each(two_turbo)), "–")
    row("DiT step, CFG, in plain Burn, ms", "–", shown(stage(plain, "step")), "–")
    row("DINOv2-giant, ms", shown(reference.get("conditioner ms")), shown(stage(parts, "conditioner")), "–")
    row("shape decoder, ms", shown(reference.get("shape decoder ms")), shown(stage(parts, "shape decoder")), "–")
    row("geometry decoder, M queries/s", shown(reference.get("geometry decoder, million queries/s")), shown(rate(parts)), "15")
    for name, report in [("hierarchical", parts), ("FlashVDM", flash_parts)]:
        row(f"volume at {resolution}, {name}, s", "–", shown(seconds(stage(report, "volume"))), "–")
    row("50 steps, decoding, DINOv2, one job, s", "–", shown(seconds(stage(jobs, "job"))), "2.9")
    row("turbo, 5 steps, FlashVDM, one job, s", "–", shown(seconds(stage(turbo, "job"))), "0.6")
    row("start to the end of a job of 5 steps, no kernels kept, s", "–", shown(cold.get("wall_s")), "–")
    row("the same with kernels kept, s", "–", shown(warm.get("wall_s")), "6")
    row("device memory of the whole card at its peak, GiB", "–", shown(gib(jobs)), "–")
    row("the same, 7168 queries at a time, GiB", "–", shown(gib(chunk)), "6")
    row("the same, one part at a time, 32 768 queries, GiB", "–", shown(gib(low)), "4")
    row("one part at a time, a job of 5 steps, s", "–", shown(seconds(stage(low, "job"))), "–")
    row("the same, of 3 jobs in one batch, s a job", "–", shown(seconds(each(low_three, "job"))), "–")
    row("field after 5 steps, distance from plain Burn's, %", "–", shown(None if far is None else 100 * far, digits=3), "1")
    memory = many.get("memory") or {}
    jobs = memory.get("warm_up", 0), memory.get("warm_up", 0) + memory.get("jobs", 0)
    for place, name in [("device's allocator", "device_bytes"), ("host", "host_bytes")]:
        held = [f"{held / 2**20:.0f}" for held in memory.get(name) or []]
        row(f"held after {jobs[0]} and after {jobs[1]} jobs, {place}, MiB", "–", " and ".join(held) or "–", "the same")


# Says in JSON that a command ended, as every other step does of itself.
SAY = "import subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr); print('{\"done\": true}')"


def about(options):
    lines = [f"ours: {options.orfeas}"]
    query = "--query-gpu=name,driver_version,memory.total"
    for command in ([options.orfeas, "--version"], ["nvidia-smi", query, "--format=csv,noheader"]):
        try:
            lines.append(subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.strip())
        except (OSError, subprocess.TimeoutExpired) as error:
            lines.append(f"{command[0]}: {error}")
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--orfeas", default=str(REPOSITORY / "target/release/orfeas"), help="the binary, with feature cuda")
    arguments.add_argument("--device", default="cuda:0")
    arguments.add_argument("--out", type=pathlib.Path, default=pathlib.Path("side_by_side"))
    arguments.add_argument("--scratch", type=pathlib.Path, help="where the checkpoint is made; a temporary folder otherwise")
    arguments.add_argument("--compile", action="store_true", help="PyTorch's step under torch.compile too")
    arguments.add_argument("--no-reference", action="store_true", help="without PyTorch")
    arguments.add_argument("--only", nargs="+", metavar="STEP", help="steps that begin so (jobs, start, field, ...); most want `checkpoint` too")
    arguments.add_argument("--growth", type=int, default=999, metavar="JOBS", help="jobs that must leave no memory behind")
    arguments.add_argument("--small", action="store_true", help="try the script out")
    options = arguments.parse_args()
    if shutil.which(options.orfeas) is None:
        sys.exit(f"{options.orfeas} is no program: cargo build --release -p orfeas-cli --features cuda, or --orfeas PATH")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        bench = Bench(options, pathlib.Path(scratch))
        measure(bench)
    widths = [max(len(str(row[column])) for row in bench.rows) for column in range(4)]
    heads = ["what", "PyTorch", "ours", "aimed for"]
    widths = [max(width, len(head)) for width, head in zip(widths, heads)]
    lines = ["| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |" for row in [heads, *bench.rows]]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    table = about(options) + "\n\n" + "\n".join(lines) + "\n"
    (options.out / "table.md").write_text(table)
    print("\n" + table)
    if bench.failed:
        sys.exit(f"failed: {', '.join(bench.failed)}")


main()
