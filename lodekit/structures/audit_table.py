"""The audit of a data set as text."""


def format_audit(report):
    """Return the report of `audit_structures` as lines that fit a terminal.

    Parameters
    ----------
    report : dict
        From `audit_structures`.

    Returns
    -------
    text : str
        Several lines, without a line break at the end.
    """
    lines = [
        *_structure_lines(report),
        "",
        *_target_lines(report),
        "",
        *_key_lines(report["keys"]),
        "",
        *_consistency_lines(report),
    ]
    for title in ("problems", "notes"):
        lines += ["", *_listed(title, report[title])] if report[title] else []
    return "\n".join([*lines, "", "Frames and atoms are counted from 1."])


def _structure_lines(report):
    atoms, volume, distances = report["atoms"], report["volume"], report["distances"]
    species = ", ".join(
        f"{symbol} {entry['atoms']} (in {entry['frames']})"
        for symbol, entry in report["species"].items()
    )
    boundaries = ", ".join(
        f"{count} {name}" for name, count in report["boundaries"].items() if count
    )
    lines = [
        f"frames       {report['frames']}",
        f"atoms        {atoms['total']}, per frame {atoms['min']} to {atoms['max']}, "
        f"mean {atoms['mean']:.1f}",
        f"species      {species}",
        f"boundaries   {boundaries}",
    ]
    if volume:
        lines.append(
            f"volume       {_range(volume['min'], volume['max'])} Å³, density "
            f"{_range(volume['density_min'], volume['density_max'])} g/cm³"
        )
    if distances:
        first, second = distances["species"]
        lines.append(
            f"shortest     {distances['shortest']:.3f} Å ({first}-{second}, frame "
            f"{distances['frame']})"
        )
    return lines


def _target_lines(report):
    if not report["targets"]:
        return ["no targets found"]
    rows = [("target", "unit", "frames", "min", "max", "mean", "std", "key")]
    missing = []
    for name, entry in report["targets"].items():
        sources = ", ".join(
            source if len(entry["sources"]) == 1 else f"{source} ({count})"
            for source, count in entry["sources"].items()
        )
        numbers = [f"{entry[key]:.5g}" for key in ("min", "max", "mean", "std")]
        rows.append((name, entry["unit"], str(entry["frames"]), *numbers, sources))
        if entry["missing"]:
            listed = ", ".join(map(str, entry["missing_frames"]))
            dots = ", ..." if entry["missing"] > len(entry["missing_frames"]) else ""
            missing.append(
                f"{name} is missing in {entry['missing']} frames: {listed}{dots}"
            )
    return _columns(rows) + missing


def _key_lines(keys):
    if not keys:
        return ["no keys and columns beside positions and species"]
    rows = [("key", "of", "type", "shape", "frames", "values", "read as")]
    names = ("key", "of", "type", "shape", "frames", "values", "target")
    for entry in keys:
        rows.append(tuple(str(entry[name] or "") for name in names))
    return _columns(rows, numbers=())


def _consistency_lines(report):
    lines = []
    if report["energy_fit"]:
        lines += _energy_lines(report["energy_fit"])
    if report["forces"]:
        forces = report["forces"]
        lines += [
            f"forces       largest {forces['max']:.4g} eV/Å (frame "
            f"{forces['max_frame']}), largest net force {forces['net_max']:.3g} eV/Å "
            f"(frame {forces['net_max_frame']}), median {forces['net_median']:.3g}"
        ]
    if report["charges"]:
        charges = report["charges"]
        sums = _range(charges["sum_min"], charges["sum_max"])
        against = "total charge" if charges["with_total_charge"] else "whole number"
        lines += [
            f"charges      sums {sums} e, off the {against} by up to "
            f"{charges['max_deviation']:.2g} e (frame {charges['max_deviation_frame']})"
        ]
    if report["stress"]:
        lines += [f"stress       sign, judged by volumes: {report['stress']['sign']}"]
    return lines + _duplicate_lines(report["duplicates"])


def _energy_lines(fit):
    baseline = ", ".join(f"{key} {value:.6g}" for key, value in fit["baseline"].items())
    if not fit["unique"]:
        baseline += " (compositions do not fix them)"
    lines = [
        f"energy fit   {baseline} eV/atom",
        f"             spread {fit['spread']:.4g} meV/atom, "
        f"{_range(fit['min'], fit['max'])}, {fit['n_outliers']} outliers"
        + (f", {fit['single_atoms']} single atoms" if fit["single_atoms"] else ""),
    ]
    lines += [
        f"             frame {outlier['frame']} is off by "
        f"{outlier['deviation']:.4g} meV/atom"
        for outlier in fit["outliers"]
    ]
    return lines


def _duplicate_lines(duplicates):
    if not duplicates["pairs"]:
        return ["duplicates   none"]
    parts = [
        f"{duplicates[key]} {text}"
        for key, text in (
            ("exact", "with nothing different"),
            ("other_total_charge", "with another total charge"),
            ("other_surroundings", "in another field or beside other point charges"),
            ("other_targets", "with other targets"),
        )
        if duplicates[key]
    ]
    pairs = ", ".join(f"{a} = {b}" for a, b in duplicates["first_pairs"][:5])
    return [
        f"duplicates   {duplicates['pairs']} pairs; repeats {', '.join(parts)} ({pairs}"
        + (", ...)" if duplicates["repeats"] > 5 else ")")
    ]


def _listed(title, entries):
    lines = [title]
    for entry in entries[:10]:
        if isinstance(entry, dict):
            entry = f"frame {entry['frame']}: {entry['problem']}"
        lines.append(f"  {entry}")
    if len(entries) > 10:
        lines.append(f"  ... and {len(entries) - 10} more")
    return lines


def _range(low, high):
    if f"{low:.5g}" == f"{high:.5g}":
        return f"{low:.5g}"
    return f"{low:.5g} to {high:.5g}"


def _columns(rows, numbers=range(2, 7)):
    """Return the lines of a table; columns of ``numbers`` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
