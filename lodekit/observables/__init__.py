"""Latents to measurable quantities, one file each."""
