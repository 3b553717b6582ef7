"""Error tables, plots and reports."""
