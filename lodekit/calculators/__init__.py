"""Drivers of molecular dynamics."""
