import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, rock_salt, triclinic
from finite_differences import central_differences, displaced, strained
from reference import gaussian_density, project_on_basis

from lodekit.descriptors import SphericalExpansion
from lodekit.structures.batch import StructureBatch

CUTOFF = {"radius": 3.5, "smoothing": {"type": "ShiftedCosine", "width": 0.6}}
STEP = {"radius": 3.5, "smoothing": {"type": "Step"}}
DENSITY = {"type": "Gaussian", "width": 0.5, "center_atom_weight": 1.0}
SCALING = {"type": "Willatt2018", "exponent": 4, "rate": 1.2, "scale": 2.0}
BASIS = {
    "type": "TensorProduct",
    "max_angular": 3,
    "radial": {"type": "Gto", "max_radial": 2},
    "spline_accuracy": None,
}
FAR_PAIR = Atoms("HCl", positions=[[0, 0, 0], [0, 0, 9.0]])
FRAMES = {
    "triclinic": [triclinic(5)],
    "cutoff larger than the cell": [triclinic(1), triclinic(2, (8,))],
    "open": [cluster(4)],
    "no neighbours": [Atoms("O"), FAR_PAIR],
    "different species": [cluster(2), rock_salt(1), Atoms("O"), triclinic(3)],
}
HYPERS = {
    "smooth": {},
    "scaled": {"density": {**DENSITY, "scaling": SCALING}},
    "step": {"cutoff": STEP},
    "weight": {"density": {**DENSITY, "center_atom_weight": 0.3}},
}


def make(**changes):
    arguments = {"cutoff": CUTOFF, "density": DENSITY, "basis": BASIS}
    return SphericalExpansion(**{**arguments, **changes})


# kept, so that every radial table is made once
DESCRIPTORS = {name: make(**changes) for name, changes in HYPERS.items()}


def expand(frames, descriptor=DESCRIPTORS["smooth"], species=(1, 8, 11, 17)):
    batch = StructureBatch.from_frames(frames)
    return descriptor.expand(batch, np.array(species))


def assert_same_tensor_map(ours, theirs, gradients, atol=1e-8):
    assert ours.keys == theirs.keys
    for key, block in theirs.items():
        pairs = [(ours.block(key), block)]
        pairs += [(pairs[0][0].gradient(g), block.gradient(g)) for g in gradients]
        for own, expected in pairs:
            assert own.samples == expected.samples
            assert own.components == expected.components
            assert own.properties == expected.properties
            np.testing.assert_allclose(own.values, expected.values, atol=atol)


def featomic_expansion(descriptor, frames, gradients):
    featomic = pytest.importorskip("featomic")
    calculator = featomic.SphericalExpansion(
        cutoff=descriptor.cutoff,
        density={"scaling": None, **descriptor.density},
        basis=descriptor.basis,
    )
    return calculator.compute(frames, gradients=gradients)


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("hypers", HYPERS)
def test_tensor_map_equals_featomic(frames, hypers):
    descriptor = DESCRIPTORS[hypers]
    frames = FRAMES[frames]
    gradients = ["positions"]
    if all(frame.pbc.all() for frame in frames):
        gradients.append("strain")
    assert_same_tensor_map(
        descriptor.compute(frames, gradients),
        featomic_expansion(descriptor, frames, gradients),
        gradients,
    )


@pytest.mark.parametrize("hypers", HYPERS)
def test_one_atom_alone_is_its_own_density(hypers):
    descriptor = DESCRIPTORS[hypers]
    values = expand(Atoms("O"), descriptor).coefficients.reshape(16, 4, 3)
    expected = project_on_basis(
        lambda points: gaussian_density(points, np.zeros((1, 3)), 0.5),
        max_angular=3,
        max_radial=2,
        radius=3.5,
        extent=12.0,
    )
    expected *= descriptor.density["center_atom_weight"]
    np.testing.assert_allclose(values[:, 1], expected, atol=1e-9)
    assert not values[:, [0, 2, 3]].any()


def test_coefficients_equal_a_quadrature_of_the_density():
    atoms = cluster(3, (8,))
    values = expand(atoms, DESCRIPTORS["step"], (8,)).coefficients
    near = np.linalg.norm(atoms.positions - atoms.positions[0], axis=1) < 3.5
    expected = project_on_basis(
        lambda points: gaussian_density(
            points + atoms.positions[0], atoms.positions[near], 0.5
        ),
        max_angular=3,
        max_radial=2,
        radius=3.5,
        extent=12.0,
    )
    np.testing.assert_allclose(values[0], expected, atol=1e-8)


@pytest.mark.parametrize("hypers", HYPERS)
def test_reverse_pass_equals_finite_differences(hypers):
    atoms = triclinic(4)
    descriptor = DESCRIPTORS[hypers]
    expansion = expand(atoms, descriptor)
    adjoint = np.random.default_rng(0).normal(size=expansion.coefficients.shape)
    positions, strain = expansion.reverse(adjoint)

    def scalar(frame):
        return np.sum(adjoint * expand(frame, descriptor).coefficients)

    numerical = central_differences(
        lambda r: scalar(displaced(atoms, r)), atoms.positions
    )
    np.testing.assert_allclose(positions, numerical, atol=1e-7)
    numerical = central_differences(
        lambda e: scalar(strained(atoms, e)), np.zeros((3, 3))
    )
    np.testing.assert_allclose(strain[0], numerical, atol=1e-6)


def test_reverse_pass_contracts_both_jacobians():
    frames = FRAMES["different species"]
    expansion = expand(frames)
    adjoint = np.random.default_rng(0).normal(size=expansion.coefficients.shape)
    positions, strain = expansion.reverse(adjoint)
    jacobian = expansion.jacobian()
    by_channel = adjoint.reshape(*adjoint.shape[:2], 4, -1)
    contracted = np.einsum(
        "exmn,emn->ex",
        jacobian.derivatives,
        by_channel[jacobian.centers, :, jacobian.channels],
    )
    expected = np.zeros_like(positions)
    np.add.at(expected, jacobian.movers, contracted)
    np.add.at(expected, jacobian.centers, -contracted)
    np.testing.assert_allclose(positions, expected, atol=1e-11)
    per_atom = np.einsum("iabmq,imq->iab", expansion.strain_jacobian(), adjoint)
    expected = np.add.reduceat(per_atom, expansion.batch.first_atom[:-1])
    np.testing.assert_allclose(strain, expected, atol=1e-10)


def test_strain_jacobian_runs_in_blocks(monkeypatch):
    expansion = expand(triclinic(5))
    expected = expansion.strain_jacobian()
    monkeypatch.setattr("lodekit.descriptors.pair_expansion.BLOCK_SIZE", 10)
    np.testing.assert_allclose(expansion.strain_jacobian(), expected, atol=1e-13)


def test_rotations_turn_the_coefficients():
    atoms = triclinic(4)
    rotation = random_rotation()
    turned = displaced(atoms, atoms.positions @ rotation.T)
    turned.set_cell(atoms.cell.array @ rotation.T)
    before, after = expand(atoms).coefficients, expand(turned).coefficients
    for l in range(4):
        part, turned_part = (c[:, l * l : (l + 1) ** 2] for c in (before, after))
        np.testing.assert_allclose(
            np.einsum("imp,imq->ipq", turned_part, turned_part),
            np.einsum("imp,imq->ipq", part, part),
            atol=1e-10,
        )
    # order of Y_1m: y, z, x
    expected = np.einsum("ab,ibq->iaq", rotation, before[:, [3, 1, 2]])
    np.testing.assert_allclose(after[:, [3, 1, 2]], expected, atol=1e-10)


def test_supercells_repeat_the_coefficients():
    atoms = triclinic(2)
    once = expand(atoms).coefficients
    often = expand(atoms.repeat((2, 1, 2))).coefficients
    np.testing.assert_allclose(often, np.tile(once, (4, 1, 1)), atol=1e-12)


def test_a_structure_is_the_same_alone_and_in_a_batch():
    frames = FRAMES["different species"]
    together = expand(frames).coefficients
    alone = np.concatenate([expand(frame).coefficients for frame in frames])
    np.testing.assert_array_equal(together, alone)


def test_featomic_objects_are_accepted():
    featomic = pytest.importorskip("featomic")
    descriptor = SphericalExpansion(
        cutoff=featomic.cutoff.Cutoff(
            radius=3.5, smoothing=featomic.cutoff.ShiftedCosine(width=0.6)
        ),
        density=featomic.density.Gaussian(
            width=0.5,
            scaling=featomic.density.Willatt2018(exponent=4, rate=1.2, scale=2.0),
        ),
        basis=featomic.basis.TensorProduct(
            max_angular=3, radial=featomic.basis.Gto(max_radial=2), spline_accuracy=None
        ),
    )
    atoms = triclinic(3)
    expected = expand(atoms, DESCRIPTORS["scaled"]).coefficients
    np.testing.assert_array_equal(expand(atoms, descriptor).coefficients, expected)


def test_featomic_backend_runs_featomic():
    frames = FRAMES["triclinic"]
    theirs = make(backend="featomic").compute(frames, ["positions"])
    ours = DESCRIPTORS["smooth"].compute(frames, ["positions"])
    assert_same_tensor_map(ours, theirs, ["positions"])


def test_default_spline_accuracy_holds():
    frames = FRAMES["triclinic"]
    basis = {key: BASIS[key] for key in ("type", "max_angular", "radial")}
    exact = expand(frames).coefficients
    splined = expand(frames, make(basis=basis)).coefficients
    np.testing.assert_allclose(splined, exact, atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutoff": {"radius": 3.0}}, "`cutoff` needs the key 'smoothing'"),
        ({"cutoff": {**CUTOFF, "radius": -1}}, "`cutoff.radius` must be a positive"),
        (
            {"cutoff": {"radius": 3.0, "smoothing": {"type": "Sharp"}}},
            "`cutoff.smoothing` must be ShiftedCosine or Step",
        ),
        (
            {
                "cutoff": {
                    "radius": 3.0,
                    "smoothing": {**CUTOFF["smoothing"], "width": 4},
                }
            },
            "`cutoff.smoothing.width` must lie between 0 and the radius 3.0 Å, got 4",
        ),
        ({"density": {**DENSITY, "width": 0}}, "`density.width` must be a positive"),
        ({"density": {**DENSITY, "type": "DiracDelta"}}, "`density.type` must be 'Gau"),
        ({"density": {**DENSITY, "sigma": 1}}, "`density` has an unknown key 'sigma'"),
        (
            {"density": {**DENSITY, "scaling": {**SCALING, "type": "None"}}},
            "`density.scaling.type` must be 'Willatt2018'",
        ),
        (
            {"density": {**DENSITY, "scaling": {**SCALING, "rate": 0.0}}},
            "`density.scaling.rate` must be a positive number, got 0.0",
        ),
        ({"basis": {**BASIS, "type": "Explicit"}}, "`basis.type` must be 'TensorProd"),
        (
            {"basis": {**BASIS, "max_angular": -1}},
            "must be a whole number >= 0, got -1",
        ),
        (
            {"basis": {**BASIS, "radial": {"type": "Laguerre", "max_radial": 2}}},
            "`basis.radial.type` must be 'Gto', got 'Laguerre'",
        ),
    ],
)
def test_wrong_hypers_give_one_clear_line(changes, message):
    with pytest.raises(ValueError, match=message):
        _ = make(**changes).hypers


def test_hypers_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="`cutoff` must be a dictionary or one of"):
        _ = make(cutoff=5.0).hypers


def test_a_linearly_dependent_basis_is_refused():
    basis = {**BASIS, "radial": {"type": "Gto", "max_radial": 40}}
    with pytest.raises(ValueError, match="linearly dependent; use fewer"):
        expand(triclinic(2), make(basis=basis))


def test_unknown_species_are_refused():
    with pytest.raises(ValueError, match=r"species \[11\] are not among the species"):
        expand(triclinic(3), species=(1, 8))
    with pytest.raises(ValueError, match="needs at least one species"):
        expand(triclinic(3), species=())


def test_unknown_gradients_are_refused():
    with pytest.raises(ValueError, match="gradients must be among .* got 'cell'"):
        make().compute(triclinic(2), ["cell"])


def test_set_params_after_use_takes_effect():
    changed = make()
    expand([triclinic(2)], changed)
    changed.set_params(density={"type": "Gaussian", "width": 0.8})
    fresh = make(density={"type": "Gaussian", "width": 0.8})
    np.testing.assert_array_equal(
        expand([triclinic(2)], changed).coefficients,
        expand([triclinic(2)], fresh).coefficients,
    )
