"""What ``lodekit plan`` says, beside what fits take.

    python benchmarks/plan.py [CASE ...] --data FOLDER [--json]

Every case is planned and fitted in processes of their own; weights, memory at the peak
(GB) and processor seconds of one thread stand beside the truth; the latter depend less
than times on other work of the machine. The data are not in the repository (their
licences differ); they are looked for in ``../shared/data``.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
ZNO, NACL = "zno_clusters/train.xyz", "qeqml_nacl_clusters/train.xyz"
KQEQ = ["--model", "kqeq", "--targets", "charges"]
CASES = {
    "potential, water, 2 frames": ("deepmd_water/train.xyz@:2", []),
    "potential, water, 6 frames": ("deepmd_water/train.xyz@:6", []),
    "potential, carbon chains": ("carbon_chain/train.xyz", []),
    "charges, ZnO, 20 frames": (f"{ZNO}@:20", ["--model", "charges"]),
    "charges, ZnO, 50 frames": (f"{ZNO}@:50", ["--model", "charges"]),
    "charges, ZnO, 100 frames": (f"{ZNO}@:100", ["--model", "charges"]),
    "kqeq, NaCl, 15 frames": (f"{NACL}@:15", KQEQ),
    "kqeq, NaCl, 40 frames": (f"{NACL}@:40", KQEQ),
    "kqeq, NaCl, all frames": (NACL, KQEQ),
}
RUN = """
import resource, sys, time
time.perf_counter = time.process_time
from lodekit.cli.main import main
status = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


def run(path, options):
    """Return what was planned, and what was true."""
    threads = ["--threads", "1"]
    command = [sys.executable, "-c", RUN, "plan", path, "--json", *threads, *options]
    planned = json.loads(subprocess.run(command, capture_output=True).stdout)
    with tempfile.TemporaryDirectory() as folder:
        output = ["--output", f"{folder}/m.lodekit", "--json", "-q", *threads]
        command = [sys.executable, "-c", RUN, "fit", path, *output, *options]
        fitted = subprocess.run(command, capture_output=True, text=True)
    answer = json.loads(fitted.stdout)
    return {
        "weights": (planned["n_weights"], answer["summary"]["rank"]),
        "memory": (
            round(planned["memory"] / 1e9, 2),
            round(int(fitted.stderr.split()[-1]) / 1e6, 2),
        ),
        "seconds": (
            planned["seconds"] and round(planned["seconds"], 1),
            round(answer["seconds"], 1),
        ),
    }


def main():
    """Run the cases and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []])
    parser.add_argument(
        "--data", type=pathlib.Path, default=ROOT.parent / "shared" / "data"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    answers = {}
    for case in arguments.cases or CASES:
        path, options = CASES[case]
        answers[case] = run(str(arguments.data / path), options)
        if not arguments.json:
            parts = [
                f"{name} {planned} planned, {true} true"
                for name, (planned, true) in answers[case].items()
            ]
            print(f"{case:24s} {'; '.join(parts)}", flush=True)
    if arguments.json:
        print(json.dumps(answers))


if __name__ == "__main__":
    main()
