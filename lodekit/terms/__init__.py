"""Terms: descriptors with covariances and numbers of sparse points, and defaults."""
