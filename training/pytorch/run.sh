#!/usr/bin/env bash
# The starter model, on a machine with one GPU or several: makes data on most of its cores and learns from it beside that.
#
#   training/pytorch/run.sh ORFEAS-TRAIN FIRST NOISE FOLDER MINUTES [further arguments of train.py]
#
# ORFEAS-TRAIN is the program (built without features it makes data; that is all it is needed for here); FIRST and NOISE as train.py says.
# Data goes to FOLDER/data, the run's log, state and model to FOLDER/run. Called again with the same arguments it goes on.
# DATA in the environment has further arguments of `orfeas-train data`, such as --seed for objects that no run before has seen.
set -euo pipefail
if [ $# -lt 5 ]; then
  sed -n '2,8s/^# \{0,1\}//p' "$0"
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
make_data=$1 first=$2 noise=$3 folder=$4 minutes=$5
shift 5
gpus=$(nvidia-smi --list-gpus | wc -l)
cores=$(nproc)
mkdir -p "$folder"
read -ra more <<< "${DATA:---views 1}"
seen=$("$make_data" families | sed -n 's/^\([a-z_]*\)$/\1/p' | paste -sd,)
"$make_data" data --held-out --count 384 --seed 4294967296 --families "$seen" --out "$folder/judge/seeds"
"$make_data" data --held-out --count 384 --out "$folder/judge/families"
# Reading samples and launching kernels want cores of their own, or the GPUs wait; at low priority, two for each are enough.
RAYON_NUM_THREADS=$((cores > 2 * gpus ? cores - 2 * gpus : 1)) nice -n 15 "$make_data" data --count 1000000 "${more[@]}" --out "$folder/data" &
data=$!
trap 'kill $data 2>/dev/null || true' EXIT
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$folder/compiled} TORCHINDUCTOR_COMPILE_THREADS=8 OMP_NUM_THREADS=2 PYTHONUNBUFFERED=1
python3 -m torch.distributed.run --nproc-per-node "$gpus" "$here/train.py" --first "$first" --noise "$noise" --data "$folder/data" \
  --judge "$folder/judge/seeds" --judge "$folder/judge/families" --folder "$folder/run" --minutes "$minutes" --fit \
  --optimiser muon --learning-rate 8e-4 --batch $((128 * gpus)) --points 1024 --warm-up 300 --overlap 0.6 --steepness 100 --window 262144 \
  --reuse 26 "$@"
