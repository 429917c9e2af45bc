"""Compiles CUDA sources as CubeCL does (NVRTC to PTX), then as the driver does (ptxas), and says what each kernel takes.

`compile.py TOOLS`, where TOOLS has the wheels of requirements.txt unpacked. Reads lines of JSON {"name", "architecture",
"source"} and writes, for each, {"name", "architecture", "error"} or {..., "kernels": {entry: {"registers", "spilled", "stack"}}}.
"""

import ctypes
import json
import multiprocessing
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TOOLS = pathlib.Path(sys.argv[1]) / "nvidia"
INCLUDES = [TOOLS / "cuda_runtime/include", TOOLS / "cuda_nvcc/include"]


def checked(nvrtc, code, what):
    if code != 0:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise RuntimeError(f"{what}: {nvrtc.nvrtcGetErrorString(code).decode()}")


def text(get_size, get, program):
    size = ctypes.c_size_t()
    get_size(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    get(program, buffer)
    return buffer.value


def ptx(source, architecture):
    nvrtc = ctypes.CDLL(str(TOOLS / "cuda_nvrtc/lib/libnvrtc.so.12"))
    program = ctypes.c_void_p()
    create = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), None, 0, None, None)
    checked(nvrtc, create, "nvrtcCreateProgram")
    options = [f"--gpu-architecture={architecture}", "-lineinfo", *(f"--include-path={path}" for path in INCLUDES)]
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    try:
        if nvrtc.nvrtcCompileProgram(program, len(options), given) != 0:
            raise RuntimeError(text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).decode())
        return text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def kernels(said):
    """What `ptxas -v` says of each entry."""
    found, entry = {}, None
    for line in said.splitlines():
        if begun := re.search(r"Compiling entry function '(\w+)'", line):
            entry = found.setdefault(begun[1], {"registers": 0, "spilled": 0, "stack": 0})
        elif entry is not None and (frame := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes", line)):
            entry["stack"], entry["spilled"] = int(frame[1]), int(frame[2]) + int(frame[3])
        elif entry is not None and (used := re.search(r"Used (\d+) registers", line)):
            entry["registers"] = int(used[1])
    return found


def compiled(job):
    result = {"name": job["name"], "architecture": job["architecture"]}
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "kernel.ptx"
            path.write_bytes(ptx(job["source"], job["architecture"]))
            command = [TOOLS / "cuda_nvcc/bin/ptxas", "-v", f"-arch={job['architecture']}", path, "-o", os.devnull]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode != 0:
                raise RuntimeError(f"ptxas: {ran.stderr}")
            # Warnings too: a wgmma that ptxas serialises is one, and costs half of the speed.
            warnings = [line for line in ran.stderr.splitlines() if "warning" in line.lower()]
            return {**result, "kernels": kernels(ran.stderr), "warnings": warnings}
    except (OSError, RuntimeError) as error:
        return {**result, "error": str(error)}


def main():
    ptxas = TOOLS / "cuda_nvcc/bin/ptxas"
    # pip gives files of a wheel no right to run.
    ptxas.chmod(ptxas.stat().st_mode | 0o111)
    jobs = [json.loads(line) for line in sys.stdin]
    with multiprocessing.Pool(min(8, os.cpu_count() or 1)) as pool:
        for result in pool.imap(compiled, jobs):
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
