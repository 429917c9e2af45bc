#!/usr/bin/env python3
"""The mean of checkpoints of one run, which often is better than each of them (Izmailov et al. 2018).

    training/pytorch/average.py RUN/model-30000 RUN/model OUT
"""

import sys
from pathlib import Path

from safetensors.torch import load_file
from train import export


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    *folders, out = map(Path, sys.argv[1:])
    models = [load_file(folder / "model.fp16.safetensors") for folder in folders]
    if any(model.keys() != models[0].keys() for model in models):
        raise SystemExit("these are not checkpoints of one network")
    mean = {name: sum(model[name].float() for model in models) / len(models) for name in models[0]}
    export(mean, folders[0], out)


if __name__ == "__main__":
    main()
