"""Small meshes of every kind, and files of every format, for tests."""

import numpy as np
import xarray as xr
from fieldloom_mesh.formats.meshes import Mesh, mesh_from_blocks
from fieldloom_mesh.formats.writing import write
from openfoam_case import hex_grid, write_case


def triangles(frames=3, n=6):
    """A Dataset: a square of triangles with a field on nodes, one on cells and a vector, over time."""
    s = np.linspace(0.0, 1.0, n + 1)
    x, y = (a.ravel() for a in np.meshgrid(s, s))
    corner = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    lower = np.stack([corner, corner + 1, corner + n + 1], 1)
    upper = np.stack([corner + 1, corner + n + 2, corner + n + 1], 1)
    cells = np.concatenate([lower, upper])
    time = np.arange(frames) * 0.5
    wave = np.sin(2 * np.pi * (x + time[:, None]))
    count = len(cells)
    return xr.Dataset(
        {
            "cell_connectivity": ("conn", cells.ravel()),
            "cell_offsets": ("cell_edge", np.arange(0, 3 * count + 1, 3)),
            "cell_types": ("cell", np.full(count, 5, np.uint8)),
            "temperature": (("time", "node"), wave, {"units": "K", "long_name": "temperature"}),
            "flux": (("time", "cell"), wave[:, cells].mean(-1), {"units": "W m-2"}),
            "velocity": (("time", "node", "component"), np.stack([wave, -wave], -1), {"units": "m s-1"}),
        },
        {
            "time": ("time", time, {"units": "s"}),
            **{f"node_{a}": ("node", v, {"units": "m"}) for a, v in zip("xyz", (x, y, 0 * x), strict=True)},
        },
    )


def sphere(n=12, radius=1.0, centre=(0.0, 0.0, 0.0), hole=False):
    """A closed sphere of triangles, as a Dataset; ``hole`` leaves out one triangle."""
    from fieldloom.contracts.mesh import triangle_variables

    theta, phi = np.pi * np.arange(1, n) / n, 2 * np.pi * np.arange(2 * n) / (2 * n)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    ring = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1).reshape(-1, 3)
    points = np.vstack([ring, [[0, 0, 1]], [[0, 0, -1]]])
    m, top, bottom = 2 * n, len(ring), len(ring) + 1
    j = np.arange(m)
    faces = [np.stack([np.full(m, top), j, (j + 1) % m], 1)]
    for i in range(n - 2):
        a, b = i * m + j, i * m + (j + 1) % m
        faces += [np.stack([a, a + m, b], 1), np.stack([b, a + m, b + m], 1)]
    faces += [np.stack([np.full(m, bottom), (n - 2) * m + (j + 1) % m, (n - 2) * m + j], 1)]
    cells = np.concatenate(faces)[1 if hole else 0 :]
    return xr.Dataset(triangle_variables(radius * points + centre, cells)).set_coords(["node_x", "node_y", "node_z"])


def fields(n, seed=0):
    """One field of every type that files hold, some with odd names."""
    rng = np.random.default_rng(seed)
    return {
        "p": rng.normal(size=n),
        "p32": rng.normal(size=n).astype(np.float32),
        "U": rng.normal(size=(n, 3)),
        "i32": rng.integers(-9, 9, n).astype(np.int32),
        "i64": rng.integers(-(2**60), 2**60, n),
        "a b": rng.normal(size=n),
        "Δp": rng.normal(size=n),
    }


def kinds():
    """Seven meshes: of triangles, mixed faces, tetrahedra, mixed volumes, two quadratic ones, polygons."""
    rng = np.random.default_rng(1)
    x, y = np.meshgrid(np.arange(4.0), np.arange(4.0), indexing="ij")
    flat = np.stack([x.ravel(), y.ravel()], 1) / 3 + rng.uniform(0, 0.05, (16, 2))
    quads = np.array([[4 * i + j, 4 * i + j + 4, 4 * i + j + 5, 4 * i + j + 1] for i in range(3) for j in range(3)])
    tri = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    lifted = np.pad(flat, ((0, 0), (0, 1)))
    space = np.concatenate([lifted, lifted + np.array([0, 0, 1.1]), [[0.15, 0.15, 2.0]]])
    hexa = np.column_stack([quads, quads + 16])
    tet = np.concatenate([hexa[:, [0, 1, 3, 4]], hexa[:, [1, 2, 3, 6]], hexa[:, [4, 5, 6, 1]]])
    wedge = np.column_stack([tri, tri + 16])[10:13]
    pyramid = np.column_stack([quads[:1] + 16, [[32]]])
    ten = np.array([np.arange(10), [0, 1, 2, 10, 4, 5, 6, 11, 12, 13]])
    polygons = np.array([0, 4, 8, 9, 5, 1, 2, 6, 5, 1])
    found = {
        "triangles": mesh_from_blocks(flat, [(5, tri)]),
        "triangles and quads": mesh_from_blocks(space[:16], [(5, tri[:4]), (9, quads[4:7]), (5, tri[14:])]),
        "tetrahedra": mesh_from_blocks(space, [(10, tet)]),
        "mixed volumes": mesh_from_blocks(space, [(10, tet[:2]), (12, hexa[:5]), (13, wedge), (14, pyramid)]),
        "quadratic triangles": mesh_from_blocks(flat, [(22, np.array([[0, 8, 2, 4, 5, 1], [10, 2, 8, 6, 5, 9]]))]),
        "quadratic tetrahedra": mesh_from_blocks(rng.normal(size=(14, 3)), [(24, ten)]),
        "polygons": Mesh(space[:16], polygons, np.array([0, 6, 10]), np.array([7, 9], np.uint8)),
    }
    return {name: with_fields(mesh) for name, mesh in found.items()}


def with_fields(mesh, seed=0):
    data = fields(len(mesh.points), seed), fields(len(mesh.types), seed + 1)
    return Mesh(mesh.points, mesh.connectivity, mesh.offsets, mesh.types, *data)


def solid(time=0.0):
    """Tetrahedra with two fields on nodes and one on cells."""
    points, cells = hex_grid((5, 4, 3))
    tet = np.concatenate([cells[:, [0, 1, 3, 4]], cells[:, [1, 2, 3, 6]], cells[:, [4, 5, 6, 1]]])
    m = mesh_from_blocks(points, [(10, tet)])
    on_nodes = {"p": points[:, 0] + time, "U": points + time}
    return Mesh(m.points, m.connectivity, m.offsets, m.types, on_nodes, {"c": np.arange(len(tet)) + time})


def surface():
    points, cells = hex_grid((9, 8, 1))
    quads = cells[:, :4]
    tri = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return mesh_from_blocks(points[:90] + np.array([0.1, 0.2, 0.3]), [(5, tri)])


def good_files(folder):
    """One good file of each format that we write, and an OpenFOAM case: kind to path."""
    folder.mkdir(parents=True, exist_ok=True)
    series = [(0.5 * i, solid(0.5 * i)) for i in range(3)]
    found = {}
    for kind in (".vtu", ".vtk", ".vtkhdf", ".xdmf", ".pvd"):
        write(folder / f"good{kind}", series if kind in (".pvd", ".xdmf", ".vtkhdf") else solid())
        found[kind] = folder / f"good{kind}"
    write(folder / "good.msh", solid(), allow_loss=True)
    found[".msh"] = folder / "good.msh"
    for kind in (".stl", ".obj", ".ply", ".off", ".vtp"):
        write(folder / f"surface{kind}", surface())
        found[kind] = folder / f"surface{kind}"
    case_fields = {"p": lambda c, t: c[:, 0] + t, "U": lambda c, t: c * (1 + t)}
    write_case(folder / "cavity", *hex_grid((4, 3, 2)), [0, 0.5], case_fields)
    found["OpenFOAM"] = folder / "cavity"
    return found
