"""Fitting: groups of like frames, noises, errors on frames left out, and the fit."""
