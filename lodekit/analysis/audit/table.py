"""Results of an audit as a table for people."""

from __future__ import annotations

from lodekit.analysis.tables import format_table

from .results import FAILED, NOT_APPLICABLE, PASSED, CheckResult

HEADINGS = ("check", "result", "measured", "at most", "unit", "")
WORDS = {PASSED: "pass", FAILED: "FAIL", NOT_APPLICABLE: "-"}


def format_results(results: list[CheckResult], numbers=None) -> str:
    """Return a table, what failed checks demand, and a summary.

    Parameters
    ----------
    results : list of CheckResult
    numbers : list of int, optional
        What the structures are called; their indices if None.
    """
    lines = [format_table(HEADINGS, [row_of(r) for r in results], len(HEADINGS))]
    failed = [result for result in results if result.status == FAILED]
    lines += [""] * bool(failed)
    for result in failed:
        name = result.frame if numbers is None else numbers[result.frame]
        lines.append(f"{result.name} fails in frame {name}: {result.demand}")
    counts = {word: sum(r.status == word for r in results) for word in WORDS}
    lines.append(
        f"\n{counts[PASSED]} checks passed, {counts[FAILED]} failed, "
        f"{counts[NOT_APPLICABLE]} do not apply"
    )
    return "\n".join(lines)


def row_of(result: CheckResult) -> tuple:
    """Return the cells of a result; a bound only where something is judged."""
    is_judged = result.status != NOT_APPLICABLE
    measured = result.measured is not None
    return (
        result.name,
        WORDS[result.status],
        f"{result.measured:.1e}" if measured else "",
        f"{result.tolerance:.0e}" if is_judged else "",
        result.unit if measured else "",
        result.note,
    )
