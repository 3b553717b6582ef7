"""A fitted model as a driver of i-PI, through a socket or inside its process.

Inside, i-PI loads this file itself:

    <ffdirect name="lodekit">
      <pes> custom </pes>
      <pes_path> /path/to/lodekit/calculators/ipi.py </pes_path>
      <parameters> {model: model.lodekit, template: init.xyz} </parameters>
    </ffdirect>

Lengths, energies and forces are in atomic units there, and cell vectors are columns.

References
----------
Y. Litman et al., J. Chem. Phys. 161, 062504 (2024).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read
from ase.units import Bohr, Hartree

from lodekit.calculators.ase_calculator import LodekitCalculator

#: How i-PI finds the driver in this file.
__DRIVER_NAME__ = "lodekit"
__DRIVER_CLASS__ = "IpiDriver"
#: Length of a message, and of the number types that follow.
HEADER = 12
REAL, WHOLE = np.dtype(np.float64), np.dtype(np.int32)
#: Where the sockets of i-PI in the file system begin.
SOCKET_PREFIX = "/tmp/ipi_"


class IpiDriver:
    """Energies, forces and virials of structures that i-PI sends.

    Parameters
    ----------
    model : str or estimator
        A model file, or a fitted model.
    template : str or ase.Atoms
        A structure with the elements, the order of atoms, the boundary and, where the
        model needs it, the total charge.
    extras : list of str, or str
        Properties of `model.compute` that i-PI gets as extras, such as ``["charges",
        "dipole"]`` or "charges dipole".
    on_extrapolation : {"warn", "raise", "ignore"}
        See `LodekitCalculator`.
    """

    def __init__(
        self,
        model: Any,
        template: str | Path | Atoms,
        extras: str | Sequence[str] = (),
        on_extrapolation: str = "warn",
        **others: Any,
    ) -> None:
        atoms: Any = read(template) if isinstance(template, (str, Path)) else template
        self.atoms = atoms.copy()
        self.calculator = LodekitCalculator(model, on_extrapolation=on_extrapolation)
        self.atoms.calc = self.calculator
        if isinstance(extras, str):  # i-PI reads lists as texts
            extras = extras.strip("[] ").replace(",", " ").split()
        self.extras = list(extras)

    def __call__(self, cell: Any, positions: Any) -> Any:
        """Return the answer for one structure, or those for a list of them."""
        if isinstance(cell, list):
            return [self(*pair) for pair in zip(cell, positions, strict=True)]
        return self.compute(cell, positions)

    def compute(
        self, cell: np.ndarray, positions: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray, str]:
        """Return energy, forces, virial and extras of a structure.

        Parameters
        ----------
        cell : ndarray of shape (3, 3)
            Vectors as columns, in Bohr.
        positions : ndarray of shape (n_atoms, 3)
            In Bohr.

        Returns
        -------
        energy : float
            In Hartree.
        forces : ndarray of shape (n_atoms, 3)
            In Hartree/Bohr.
        virial : ndarray of shape (3, 3)
            In Hartree; 0 where the structure is not periodic in three directions.
        extras : str
            JSON, in eV, Å and e, see `extra_values`; empty where nothing was asked for.
        """
        atoms = self.atoms
        if atoms.pbc.any():
            atoms.cell[:] = cell.T * Bohr
        atoms.positions = np.reshape(positions, (-1, 3)) * Bohr
        forces = atoms.get_forces() * (Bohr / Hartree)
        energy = float(atoms.get_potential_energy() / Hartree)
        virial = np.zeros((3, 3))
        if atoms.pbc.all():
            virial = -atoms.get_stress(voigt=False) * (atoms.get_volume() / Hartree)
        extras: dict[str, Any] = {}
        for name in self.extras:
            extras |= extra_values(name, self.calculator.get_property(name, atoms))
        return energy, forces, virial, json.dumps(extras) if extras else ""


def extra_values(name: str, value: Any) -> dict[str, Any]:
    """Return a property as i-PI gets it, by name.

    What i-PI itself reads, for dynamics in a field, has its units and order: "dipole",
    the dipole of open and the polarization of periodic structures, is in e·Bohr, and
    "BEC", beside the Born charges, has displacements as rows and moments as columns, (3
    n_atoms, 3).
    """
    array = np.asarray(value)
    if name == "dipole":
        return {name: (array / Bohr).tolist()}
    values = {name: array.tolist()}
    if name == "polarization":
        values["dipole"] = (array / Bohr).tolist()
    if name == "born_effective_charges":
        values["BEC"] = array.swapaxes(1, 2).reshape(-1, 3).tolist()
    return values


def serve(
    driver: IpiDriver,
    address: str = "localhost",
    port: int = 31415,
    unix: bool = False,
) -> int:
    """Answer what i-PI asks through a socket, until it ends.

    Parameters
    ----------
    driver : IpiDriver
    address : str
        Host, or the name of a socket in the file system.
    port : int
    unix : bool
        Whether it is a socket in the file system.

    Returns
    -------
    n_answers : int
        Number of structures.

    Raises
    ------
    OSError
        If there is nobody at the other end.
    """
    if unix:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        place = address if address.startswith("/") else SOCKET_PREFIX + address
        try:
            connection.connect(place)
        except OSError:
            connection.close()
            raise
    else:
        connection = socket.create_connection((address, port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        return Conversation(connection, driver).run()


class Conversation:
    """The messages between i-PI and a driver.

    Parameters
    ----------
    connection : socket.socket
    driver : IpiDriver
    """

    def __init__(self, connection: socket.socket, driver: IpiDriver) -> None:
        self.connection, self.driver = connection, driver
        self.is_ready, self.n_answers = False, 0
        self.answer: Any = None

    def run(self) -> int:
        """Answer until i-PI ends; return the number of structures."""
        actions = {
            "STATUS": self.tell_status,
            "INIT": self.begin,
            "POSDATA": self.compute,
            "GETFORCE": self.send_answer,
        }
        while True:
            message = self.receive_bytes(HEADER, may_end=True).decode().strip()
            if message not in actions:  # EXIT, or the other end went away
                return self.n_answers
            actions[message]()

    def tell_status(self) -> None:
        """Say what comes next."""
        if not self.is_ready:
            self.send("NEEDINIT")
        else:
            self.send("READY" if self.answer is None else "HAVEDATA")

    def begin(self) -> None:
        """Take what i-PI says at the beginning, which is not needed."""
        self.receive(WHOLE, 1)
        self.receive_bytes(int(self.receive(WHOLE, 1)[0]))
        self.is_ready = True

    def compute(self) -> None:
        """Receive a structure and compute it."""
        cell = self.receive(REAL, 9).reshape(3, 3)
        self.receive(REAL, 9)  # its inverse
        n_atoms = int(self.receive(WHOLE, 1)[0])
        positions = self.receive(REAL, 3 * n_atoms).reshape(-1, 3)
        self.answer = self.driver(cell, positions)

    def send_answer(self) -> None:
        """Send energy, forces, virial and extras."""
        energy, forces, virial, extras = self.answer
        self.send("FORCEREADY")
        self.connection.sendall(
            REAL.type(energy).tobytes()
            + WHOLE.type(len(forces)).tobytes()
            + np.ascontiguousarray(forces, REAL).tobytes()
            + np.ascontiguousarray(virial.T, REAL).tobytes()
            + WHOLE.type(len(extras.encode())).tobytes()
            + extras.encode()
        )
        self.answer = None
        self.n_answers += 1

    def send(self, message: str) -> None:
        """Send a message of fixed length."""
        self.connection.sendall(message.ljust(HEADER).encode())

    def receive(self, kind: np.dtype, count: int) -> np.ndarray:
        """Receive numbers."""
        return np.frombuffer(self.receive_bytes(count * kind.itemsize), kind)

    def receive_bytes(self, count: int, may_end: bool = False) -> bytes:
        """Receive so many bytes.

        Raises
        ------
        ConnectionError
            If the other end goes away before.
        """
        parts = b""
        while len(parts) < count:
            part = self.connection.recv(count - len(parts))
            if not part:
                if may_end and not parts:
                    return b"EXIT"
                raise ConnectionError("i-PI went away in the middle of a message")
            parts += part
        return parts
