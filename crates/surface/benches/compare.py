#!/usr/bin/env python3
"""Times the surface path beside the reference's tools, on one grid, in one run, one after the other.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r crates/surface/benches/requirements.txt
    cargo build --release -p orfeas-surface --example stages
    /tmp/peers/bin/python crates/surface/benches/compare.py [SAMPLES]

The grid is a thick gyroid within a ball, x, y, z in [-1.01, 1.01]: min(0.9 - r, 0.6 - |gyroid(6 x)|). Each tool runs in a
process of its own; its peak memory holds its interpreter and, for all of them, the dense grid as float32. Prints JSON.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")


def grid(samples):
    import numpy as np

    axis = np.linspace(-1.01, 1.01, samples, dtype=np.float32)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    gyroid = np.sin(6 * x) * np.cos(6 * y)
    gyroid = gyroid + np.sin(6 * y) * np.cos(6 * z)
    gyroid += np.sin(6 * z) * np.cos(6 * x)
    np.abs(gyroid, out=gyroid)
    return np.minimum(0.9 - np.sqrt(x * x + y * y + z * z), 0.6 - gyroid).astype(np.float32)


def timed(result, name, work, runs=1):
    best, value = float("inf"), None
    for _ in range(runs):
        begin = time.perf_counter()
        value = work()
        best = min(best, time.perf_counter() - begin)
    result[name] = round(best, 4)
    return value


def skimage_path(path, folder):
    import numpy as np
    import pymeshlab
    import trimesh
    from skimage import measure

    result, values = {}, np.load(path)
    vertices, faces, _, _ = timed(result, "extract", lambda: measure.marching_cubes(values, 0.0, method="lewiner"), 3)
    mesh = timed(result, "mesh", lambda: trimesh.Trimesh(vertices, faces[:, ::-1]))
    timed(result, "stl", lambda: mesh.export(os.path.join(folder, "reference.stl")))
    result["triangles"] = len(faces)
    result["watertight"] = bool(mesh.is_watertight)
    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(vertex_matrix=vertices, face_matrix=faces))

    def floaters():
        meshes.compute_selection_by_small_disconnected_components_per_face(nbfaceratio=0.005)
        meshes.compute_selection_transfer_face_to_vertex(inclusive=False)
        meshes.meshing_remove_selected_vertices_and_faces()

    timed(result, "floaters", floaters)
    timed(result, "reduce", lambda: meshes.meshing_decimation_quadric_edge_collapse(
        targetfacenum=40_000, qualitythr=1.0, preserveboundary=True, boundaryweight=3,
        preservenormal=True, preservetopology=True, autoclean=True))
    reduced = meshes.current_mesh()
    after = trimesh.Trimesh(reduced.vertex_matrix(), reduced.face_matrix())
    result["reduced_to"], result["reduced_watertight"] = len(after.faces), bool(after.is_watertight)
    return result


def vtk_path(path, _):
    import numpy as np
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    result, values = {"smp": vtk.vtkSMPTools.GetBackend()}, np.load(path)
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(values.ravel()))
    contour = vtk.vtkFlyingEdges3D()
    contour.ComputeNormalsOff()
    contour.ComputeGradientsOff()
    contour.ComputeScalarsOff()
    contour.SetInputData(image)
    contour.SetValue(0, 0.0)

    def run():
        contour.Modified()
        contour.Update()

    timed(result, "extract", run, 5)
    result["triangles"] = contour.GetOutput().GetNumberOfCells()
    return result


def pymcubes_path(path, _):
    import mcubes
    import numpy as np

    result, values = {}, np.load(path)
    vertices, faces = timed(result, "extract", lambda: mcubes.marching_cubes(values, 0.0), 1)
    result["triangles"] = len(faces)
    return result


PEERS = {"skimage, trimesh, PyMeshLab": skimage_path, "VTK flying edges": vtk_path, "PyMCubes": pymcubes_path}


def child(name, path, folder):
    result = PEERS[name](path, folder)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(result))


def ours(arguments):
    binary = os.path.join(REPOSITORY, "target", "release", "examples", "stages")
    process = subprocess.Popen([binary, *arguments], stdout=subprocess.PIPE, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{binary} ended with {status}")
    result = json.loads(text)
    result["peak_mb"] = usage.ru_maxrss // 1024
    return result


def main():
    if len(sys.argv) > 2 and sys.argv[1] == "--child":
        return child(*sys.argv[2:])
    if len(sys.argv) > 2 and sys.argv[1] == "--grid":
        import numpy as np

        return np.save(sys.argv[2], grid(int(sys.argv[3])))
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 385
    report = {"samples": samples, "load_average": os.getloadavg(), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "grid.npy")
        # Not in this process: a child's peak begins with its parent's memory.
        subprocess.run([sys.executable, __file__, "--grid", path, str(samples)], check=True)
        report["orfeas"] = ours([path, os.path.join(folder, "ours.stl")])
        for name in PEERS:
            run = subprocess.run([sys.executable, __file__, "--child", name, path, folder], capture_output=True, text=True)
            report[name] = json.loads(run.stdout.splitlines()[-1]) if run.returncode == 0 else run.stderr[-300:]
        report["orfeas again"] = ours([path, os.path.join(folder, "ours.stl")])
    report["sparse"] = {n: ours(["--sparse", str(n)]) for n in (129, 257, 513, 1025)}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
