"""Responses: latents of the atoms of structures to energies and moments."""
