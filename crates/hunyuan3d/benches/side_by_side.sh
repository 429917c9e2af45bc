#!/bin/sh
# The whole table of CUDA speed in one run: PyTorch's times, then ours, on the same GPU.
#
#   crates/hunyuan3d/benches/side_by_side.sh [path to orfeas, built with --features cuda] [--compile]
#
# Needs python3 with PyTorch (and transformers for DINOv2) beside the GPU.
set -eu
here=$(dirname "$0")
orfeas=${1:-target/release/orfeas}
[ $# -gt 0 ] && shift
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
python3 "$here/reference.py" "$@"
common="--preset hunyuan3d-2 --device cuda:0 --repeat 5"
# shellcheck disable=SC2086
{
    "$orfeas" model bench $common --steps 20 --resolution 384 --decoder hierarchical --queries 1048576
    "$orfeas" model bench $common --steps 5 --resolution 384 --decoder flashvdm --queries 1048576
    "$orfeas" model bench --preset hunyuan3d-2-turbo --device cuda:0 --repeat 5 --steps 5 --resolution 384 --decoder flashvdm
}
