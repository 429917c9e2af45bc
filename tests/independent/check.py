"""What trimesh and lib3mf say of mesh files: one JSON object a line. Knows nothing of ORFEAS.

    check.py trimesh FILE...
    check.py lib3mf FILE...
"""

import json
import sys


def with_trimesh(path):
    import trimesh

    mesh = trimesh.load(path, force="mesh")
    # What a format without vertices, or with one normal a vertex, cut apart.
    mesh.merge_vertices(merge_norm=True, merge_tex=True)
    return {
        "watertight": bool(mesh.is_watertight),
        "winding_consistent": bool(mesh.is_winding_consistent),
        "is_volume": bool(mesh.is_volume),
        "triangles": len(mesh.faces),
        "volume": float(mesh.volume),
        "area": float(mesh.area),
        "euler": int(mesh.euler_number),
        "extents": [float(v) for v in mesh.extents],
    }


def with_lib3mf(path):
    import lib3mf

    model = lib3mf.get_wrapper().CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)
    reader.ReadFromFile(path)
    meshes, objects = [], model.GetMeshObjects()
    while objects.MoveNext():
        mesh = objects.GetCurrentMeshObject()
        meshes.append({
            "vertices": mesh.GetVertexCount(),
            "triangles": mesh.GetTriangleCount(),
            "manifold_and_oriented": bool(mesh.IsManifoldAndOriented()),
            "valid": bool(mesh.IsValid()),
        })
    group = model.GetMetaDataGroup()
    metadata = {}
    for index in range(group.GetMetaDataCount()):
        entry = group.GetMetaData(index)
        metadata[entry.GetName()] = entry.GetValue()
    return {
        "warnings": [reader.GetWarning(index) for index in range(reader.GetWarningCount())],
        "unit": str(model.GetUnit()),
        "meshes": meshes,
        "thumbnail": bool(model.HasPackageThumbnailAttachment()),
        "metadata": metadata,
    }


def main():
    look = {"trimesh": with_trimesh, "lib3mf": with_lib3mf}[sys.argv[1]]
    for path in sys.argv[2:]:
        print(json.dumps({"file": path, **look(path)}), flush=True)


main()
