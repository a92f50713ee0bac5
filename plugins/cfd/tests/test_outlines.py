"""Outlines: exact curves, clear errors. Meshes: exact boundaries, good angles, any outline."""

import numpy as np
import pytest
from fieldloom_cfd.meshing import (
    channel_mesh,
    circle,
    ellipse,
    naca,
    polygon,
    read_outline,
    reference_size,
    square,
    triangle_angles,
)
from fieldloom_cfd.meshing.channel import curved_jacobian
from fieldloom_cfd.meshing.polygons import inside_polygon, polygon_area
from scipy.special import ellipe

SHAPES = {
    "circle": circle((0.2, 0.2), 0.05),
    "ellipse": ellipse((0.3, 0.2), (0.1, 0.03), -20),
    "square": square((0.2, 0.2), 0.1, 0),
    "turned square": square((0.2, 0.2), 0.1, 33),
    "0006": naca("0006", (0.3, 0.2), 0.3, 0),
    "4412": naca("4412", (0.3, 0.2), 0.2, -15),
    "knife": polygon([[0.3, 0.2], [0.5, 0.205], [0.3, 0.21]]),
    "U": polygon(np.array([[0, 0], [10, 0], [10, 10], [7, 10], [7, 3], [3, 3], [3, 10], [0, 10]]) / 100 + [0.2, 0.15]),
}
SMOOTH = ["circle", "ellipse", "0006", "4412"]


@pytest.mark.parametrize("name", SHAPES)
def test_arc_length_is_the_parameter_and_periodic(name):
    outline = SHAPES[name]
    s = np.random.default_rng(0).uniform(0, outline.perimeter, 300)
    h = 1e-6 * outline.perimeter
    speed = np.linalg.norm(outline.at(s + h) - outline.at(s), axis=1) / h
    assert np.median(abs(speed - 1)) < 1e-9
    np.testing.assert_allclose(outline.at(s), outline.at(s - 2 * outline.perimeter), atol=1e-14)
    assert polygon_area(outline.points) > 0


def test_circle_and_ellipse_are_exact():
    s = np.linspace(-1, 1, 5001)
    np.testing.assert_allclose(np.hypot(*(circle((0.2, 0.2), 0.05).at(s) - 0.2).T), 0.05, rtol=1e-14)
    curve = ellipse((0.0, 0.0), (0.1, 0.03))
    np.testing.assert_allclose(((curve.at(s) / [0.1, 0.03]) ** 2).sum(axis=1), 1, rtol=2e-12)
    np.testing.assert_allclose(curve.perimeter, 0.4 * ellipe(1 - 0.09), rtol=1e-14)


@pytest.mark.parametrize("code", ["0006", "0012", "2412", "4424"])
def test_airfoils_lie_on_the_published_formula(code):
    curve = naca(code, (0.5, 0.0), 1.0)
    np.testing.assert_allclose(curve.at(curve.corners), [[1, 0]], atol=1e-16)
    m, p, t = int(code[0]) / 100, max(int(code[1]), 1) / 10, int(code[2:]) / 100
    # a point's thickness and camber follow from the place x on the mean line that it is normal to
    u = np.linspace(0, 1, 2001)
    x = u * u
    y = 5 * t * (0.2969 * u - 0.126 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1036 * x**4)
    side = np.where(x < p, m / p**2, m / (1 - p) ** 2)
    angle = np.arctan(side * 2 * (p - x))
    line = np.where(x < p, side * (2 * p * x - x * x), side * (1 - 2 * p + 2 * p * x - x * x))
    for sign in (1, -1):
        exact = np.stack([x - sign * y * np.sin(angle), line + sign * y * np.cos(angle)], axis=1)
        assert abs(curve.distance(exact)).max() < 1e-6


def test_positive_angle_of_attack_lifts_the_nose():
    curve = naca("0012", (0.3, 0.2), 0.2, 10)
    assert curve.points[curve.points[:, 0].argmin(), 1] > 0.2 > curve.at(curve.corners)[0, 1]


def test_polygons_keep_their_vertices_and_are_straight_between():
    vertices = np.array([[0, 0], [1, 0], [1.2, 0.05], [1, 1], [0, 1]])
    curve = polygon(vertices[::-1])  # clockwise: turned round
    assert len(curve.corners) == 4  # (1, 0) turns by 14 degrees only
    np.testing.assert_array_equal(np.sort(curve.at(curve.curve.x[:-1]), axis=0), np.sort(vertices, axis=0))
    assert abs(curve.distance(curve.at(np.linspace(0, 9, 500)))).max() < 1e-14
    np.testing.assert_allclose(polygon([*vertices, vertices[0]]).perimeter, curve.perimeter)


@pytest.mark.parametrize("name", SHAPES)
def test_signed_distance_agrees_with_brute_force(name):
    outline, rng = SHAPES[name], np.random.default_rng(1)
    points = rng.uniform([0.1, 0.05], [0.5, 0.35], (500, 2))
    dense = outline.at(np.linspace(0, outline.perimeter, 6000))
    brute = np.linalg.norm(points[:, None] - dense, axis=2).min(axis=1)
    np.testing.assert_allclose(abs(outline.distance(points)), brute, atol=2e-4 * outline.perimeter)
    np.testing.assert_array_equal(outline.inside(points), outline.distance(points) < 0)


def test_inside_polygon_is_the_crossing_number():
    polygon_, points = np.array([[0, 0], [2, 0], [2, 2], [1, 0.5], [0, 2]]), np.array([[1, 1], [0.2, 1], [1, 0.2]])
    np.testing.assert_array_equal(inside_polygon(polygon_, points), [False, True, True])


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 0], [1, 0]], "at least 3 different points, got 2"),
        ([[0, 0], [1, 0], [0, 0]], "at least 3"),
        ([[0, 0], [1, 0], [2, 0], [3, 0]], "zero area|meets itself"),
        ([[0, 0], [1, 0], [1, 0], [0, 1]], "row 3 repeats row 2"),
        ([[0, 0], [1, 0], [np.nan, 1]], "row 3: .* not finite"),
        ([[0, 0], [1, 1], [1, 0], [0, 1]], "row 1 to row 2 and the segment row 3 to row 4"),
        ([[0, 0], [2, 0], [1, 0], [1, 1]], "meets itself"),
        ([[0, 0], [2, 0], [2, 2], [1, 0], [0, 2]], "row 1 to row 2"),  # touches
        ([0.0, 1.0], "shape"),
    ],
)
def test_bad_outlines_are_refused_with_the_row(points, message):
    with pytest.raises(ValueError, match=message):
        polygon(points)


@pytest.mark.parametrize(
    "text",
    [
        "0,0\n1,0\n1,1\n0,1\n",
        "x y\n0 0 # start\n\n# comment\n1\t0\n1 1\n0 1\n0 0\n",
        "x;y\n0,0;0,0\n1,0;0\n1;1\n0;1\n",
        "\ufeffSQUARE 1\n 1.0 1.0\n 0.0 1.0\n 0 0\n 1 0\n",
    ],
)
def test_files_of_points_are_read(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    np.testing.assert_allclose(read_outline(tmp_path / "a.csv").perimeter, 4)


def test_selig_and_lednicer_files_give_the_same_airfoil(tmp_path):
    def rows(points):
        return "".join(f"{x:.6f} {y:.6f}\n" for x, y in points)

    x = (1 - np.cos(np.linspace(0, np.pi, 31))) / 2
    y = 0.6 * (0.2969 * np.sqrt(x) - 0.126 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1036 * x**4)
    upper, lower = np.stack([x, y], 1), np.stack([x, -y], 1)
    (tmp_path / "s.dat").write_text("NACA 0012\n" + rows(upper[::-1]) + rows(lower[1:]))
    (tmp_path / "l.dat").write_text("NACA 0012\n 31. 31.\n\n" + rows(upper) + "\n" + rows(lower))
    one, two = (read_outline(tmp_path / name, scale=0.2, middle=(0.2, 0.2)) for name in ("s.dat", "l.dat"))
    s = np.linspace(0, 1, 50)
    np.testing.assert_allclose(one.at(s), two.at(s), atol=1e-9)
    assert len(one.corners) >= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0\n1 0\noops\n0 1\n", "line 3: expected two numbers"),
        ("t\nu\n0 0\n1 0\n0 1\n", "line 2"),
        ("0 0\n1 0 4\n0 1\n", "line 2"),
        ("t\n\n0 0\n1 1\n1 0\n0 1\n", "line 3 to line 4 and the segment line 5 to line 6"),
        ("", "at least 3"),
    ],
)
def test_bad_files_are_refused_with_the_line(tmp_path, text, message):
    (tmp_path / "a.dat").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.dat.*{message}"):
        read_outline(tmp_path / "a.dat")


@pytest.mark.parametrize("code", ["12", "001200", "0412", "4012", "2400", "abcd"])
def test_codes_that_are_no_airfoil_are_refused(code):
    with pytest.raises(ValueError, match="NACA code"):
        naca(code, (0.3, 0.2), 0.2)


@pytest.mark.parametrize("coarse", [6, 12])
@pytest.mark.parametrize("name", SHAPES)
def test_meshes_are_exact_on_the_boundary_and_without_slivers(name, coarse):
    outline = SHAPES[name]
    mesh = channel_mesh(outline=outline, h_min=reference_size(outline) / coarse)
    np.testing.assert_array_equal(mesh.nodes[mesh.obstacle], outline.at(mesh.obstacle_s))
    assert np.isin(mesh.nodes[mesh.walls][:, 1], [0.0, 0.41]).all()
    assert (mesh.nodes[mesh.inlet][:, 0] == 0).all()
    assert (mesh.nodes[mesh.outlet][:, 0] == 2.2).all()
    assert np.isin(outline.corners, mesh.obstacle_s).all()
    assert triangle_angles(mesh.nodes, mesh.triangles).min() > 24
    assert (mesh.triangles > mesh.obstacle[-1]).any(axis=1).all()  # each has an interior node
    assert curved_jacobian(mesh).min() > 0.1
    assert len(curved_jacobian(mesh)) == len(mesh.obstacle)
    # the triangles and the obstacle's polygon fill the channel
    corner = mesh.nodes[mesh.triangles]
    area = 0.5 * np.linalg.det(corner[:, 1:] - corner[:, :1]).sum() + polygon_area(mesh.nodes[mesh.obstacle])
    np.testing.assert_allclose(area, 2.2 * 0.41, rtol=1e-12)


def test_mesh_is_a_function_of_its_arguments():
    one, two = (channel_mesh(outline=naca("2412", (0.3, 0.2), 0.2, 8), h_min=0.008) for _ in range(2))
    np.testing.assert_array_equal(one.nodes, two.nodes)
    np.testing.assert_array_equal(one.triangles, two.triangles)


@pytest.mark.parametrize(
    ("centre", "side"),
    [((0.07, 0.2), "inlet"), ((2.13, 0.2), "outlet"), ((0.2, 0.07), "lower wall"), ((0.2, 0.35), "upper wall")],
)
def test_too_small_gaps_name_the_side(centre, side):
    with pytest.raises(ValueError, match=f"the {side} is"):
        channel_mesh(outline=square(centre, 0.1))


def test_too_long_edges_and_hidden_slits_are_refused():
    with pytest.raises(ValueError, match="h_min must be in"):
        channel_mesh(outline=square((0.2, 0.2), 0.1), h_min=0.02)
    slit = np.array([[0, 0], [10, 0], [10, 5], [2, 5.05], [10, 5.2], [10, 10], [0, 10]]) / 100 + [0.2, 0.15]
    with pytest.raises(ValueError, match="too narrow there; make h_min smaller"):
        channel_mesh(outline=polygon(slit), h_min=0.015)


@pytest.mark.parametrize("seed", range(6))
def test_random_outlines_are_meshed(seed):
    """Smooth blobs and polygons with corners, of random size and place."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, int(rng.integers(4, 8)) if seed % 2 else 80, endpoint=False)
    radius = rng.uniform(0.03, 0.06) * (1 + 0.25 * np.cos(rng.integers(2, 5) * angle + rng.uniform(0, 6)))
    outline = polygon(np.stack([0.35 + radius * np.cos(angle), 0.2 + radius * np.sin(angle)], axis=1))
    mesh = channel_mesh(outline=outline, h_min=reference_size(outline) / rng.uniform(6, 14))
    assert triangle_angles(mesh.nodes, mesh.triangles).min() > 20
