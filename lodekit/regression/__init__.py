"""Features to latents: covariances, sparse points, rows, solvers, uncertainty."""
