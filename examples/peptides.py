"""Zwitterionic and capped peptide chains from standard bond lengths and angles.

Backbones grow atom by atom from internal coordinates (natural extension of reference
frames, Parsons et al., J. Comput. Chem. 26, 1063 (2005)), with the lengths and
angles of Engh and Huber, Acta Cryst. A 47, 392 (1991). Lengths in Å, angles in degrees.
"""

import numpy as np
from ase import Atoms
from ase.neighborlist import build_neighbor_list

LENGTHS = {
    "N-CA": 1.458,
    "CA-C": 1.525,
    "C-N": 1.329,
    "C=O": 1.231,
    "C-O": 1.250,  # both of a carboxylate
    "CA-CB": 1.530,
    "N-H": 1.010,
    "N+-H": 1.035,
    "C-H": 1.090,
}
ANGLES = {
    "N-CA-C": 111.2,
    "CA-C-N": 116.2,
    "C-N-CA": 121.7,
    "CA-C=O": 120.8,
    "CA-C-O": 117.0,
    "CA-N-H": 118.2,
    "tetrahedral": 109.5,
}
STAGGERED = (60.0, 180.0, 300.0)


def place(first, second, third, length, angle, torsion):
    """Return the point bound to ``third`` with this length, angle and torsion."""
    angle, torsion = np.radians([angle, torsion])
    along = (third - second) / np.linalg.norm(third - second)
    normal = np.cross(second - first, along)
    normal /= np.linalg.norm(normal)
    return third + length * (
        -np.cos(angle) * along
        + np.sin(angle) * np.cos(torsion) * np.cross(normal, along)
        + np.sin(angle) * np.sin(torsion) * normal
    )


def place_backbone(torsions):
    """Return N, CA and C of every residue, (n_residues, 3, 3), all peptides trans."""
    half = np.radians(ANGLES["N-CA-C"])
    first = np.array(
        [
            [0.0, 0.0, 0.0],
            [LENGTHS["N-CA"], 0.0, 0.0],
            [
                LENGTHS["N-CA"] - LENGTHS["CA-C"] * np.cos(half),
                LENGTHS["CA-C"] * np.sin(half),
                0.0,
            ],
        ]
    )
    residues = [first]
    for (_, psi), (phi, _) in zip(torsions[:-1], torsions[1:], strict=True):
        n, ca, c = residues[-1]
        next_n = place(n, ca, c, LENGTHS["C-N"], ANGLES["CA-C-N"], psi)
        next_ca = place(ca, c, next_n, LENGTHS["N-CA"], ANGLES["C-N-CA"], 180.0)
        next_c = place(c, next_n, next_ca, LENGTHS["CA-C"], ANGLES["N-CA-C"], phi)
        residues.append(np.array([next_n, next_ca, next_c]))
    return np.array(residues)


def place_methyl(first, second, carbon, twist):
    """Return the hydrogens of a methyl group bound to ``second``."""
    return [
        place(first, second, carbon, LENGTHS["C-H"], ANGLES["tetrahedral"], t + twist)
        for t in STAGGERED
    ]


def place_side(kind, n, ca, c, twist):
    """Return symbols and positions of what CA carries beside the backbone (L form)."""
    inward = -(n - ca) / np.linalg.norm(n - ca) - (c - ca) / np.linalg.norm(c - ca)
    inward /= np.linalg.norm(inward)
    normal = np.cross(n - ca, c - ca)
    normal /= np.linalg.norm(normal)
    half = np.radians(0.5 * ANGLES["tetrahedral"])
    left, right = (
        np.cos(half) * inward + sign * np.sin(half) * normal for sign in (1.0, -1.0)
    )
    hydrogen = ca + LENGTHS["C-H"] * right
    if kind == "G":
        return ["H", "H"], [hydrogen, ca + LENGTHS["C-H"] * left]
    carbon = ca + LENGTHS["CA-CB"] * left
    return ["H", "C", "H", "H", "H"], [
        hydrogen,
        carbon,
        *place_methyl(n, ca, carbon, twist),
    ]


def build_chain(sequence, torsions, *, capped=False, twist=0.0):
    """Return a chain of glycine (G) and alanine (A).

    Parameters
    ----------
    sequence : str
    torsions : sequence of (phi, psi)
        In degrees, by residue.
    capped : bool
        Whether the ends are CH3-CO and NH-CH3 and not NH3+ and COO-: a neutral chain
        of neutral groups. The caps are the CA of one more residue at either end.
    twist : float
        Torsion in degrees of methyl and NH3+ groups from the staggered one.
    """
    if capped:
        torsions = [(180.0, 180.0), *torsions, (180.0, 180.0)]
        sequence = f"-{sequence}-"
    residues = place_backbone(torsions)
    last = len(sequence) - 1
    symbols, positions = [], []

    def add(names, points):
        symbols.extend(names)
        positions.extend(points)

    for index, (kind, (phi, psi)) in enumerate(zip(sequence, torsions, strict=True)):
        n, ca, c = residues[index]
        begins, ends = index == 0, index == last
        if not (capped and begins):
            add("N", [n])
            hydrogen = (c, ca, n, LENGTHS["N-H"], ANGLES["CA-N-H"], phi + 180.0)
            if not begins:
                add("H", [place(*hydrogen)])
            else:
                for turn in STAGGERED:
                    length, angle = LENGTHS["N+-H"], ANGLES["tetrahedral"]
                    add("H", [place(c, ca, n, length, angle, turn + twist)])
        add("C", [ca])
        if kind != "-":
            add(*place_side(kind, n, ca, c, twist))
        elif begins:
            oxygen = place(n, ca, c, LENGTHS["C=O"], ANGLES["CA-C=O"], psi + 180.0)
            add("HHH", place_methyl(oxygen, c, ca, twist))
        else:
            add("HHH", place_methyl(residues[index - 1][2], n, ca, twist))
        if not (capped and ends):
            add("C", [c])
            if not ends:
                length, angle = LENGTHS["C=O"], ANGLES["CA-C=O"]
                add("O", [place(n, ca, c, length, angle, psi + 180.0)])
            else:
                length, angle = LENGTHS["C-O"], ANGLES["CA-C-O"]
                add("OO", [place(n, ca, c, length, angle, psi + t) for t in (0, 180)])
    return Atoms(symbols, positions)


def is_reasonable(chain, closest=1.9):
    """Return whether atoms four and more bonds apart keep a distance in Å."""
    neighbors = build_neighbor_list(chain, self_interaction=False)
    bonds = neighbors.get_connectivity_matrix(sparse=False) > 0
    bonds = bonds | bonds.T
    near = np.eye(len(chain), dtype=bool)
    for _ in range(3):
        near = near | (near @ bonds)
    return chain.get_all_distances()[~near].min(initial=np.inf) > closest
