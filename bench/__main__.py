"""Measures linksocks beside its peers, and prints medians and, in brackets, ratios to the two-hop relay.

Usage:
  scripts/bench [options]

Options:
  --quick           short measurements and few rounds: about five minutes
  --only=NAMES      only these contenders, with commas between them
  --case=NAMES      only these cases
  --rounds=NUMBER   how often everything is measured (default: 5, quick: 2)
  --seconds=NUMBER  how long a number is measured (default: 2, quick: 0.8)
  --list            print the names of contenders and cases
  -h, --help        print this text

Results are kept in bench/results/: the table, all numbers as JSON, and a plot as SVG.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from docopt import docopt

from bench.cases import CASES, measure
from bench.contenders import CONTENDERS
from bench.report import Results, table

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    options = docopt(__doc__ or "")
    if options["--list"]:
        say("contenders: " + ", ".join(CONTENDERS))
        say("cases: " + ", ".join(CASES))
        return 0
    quick = options["--quick"]
    rounds = int(options["--rounds"] or (2 if quick else 5))
    seconds = float(options["--seconds"] or (0.8 if quick else 2))
    names = chosen(options["--only"], CONTENDERS, "--only")
    cases = chosen(
        options["--case"], {n: c for n, c in CASES.items() if not (quick and c.thorough)}, "--case"
    )
    os.environ.setdefault("PEER_LOG", "WARNING")  # a line for each connection is not what is measured
    results = Results()
    try:
        run(results, names, cases, rounds, seconds)
    except KeyboardInterrupt:
        say("stopped: this is what was measured")
    keep(results, {"rounds": rounds, "seconds": seconds})
    say("\n" + table(results))
    return 0


def chosen(wanted: str | None, known: dict[str, Any], flag: str) -> list[str]:
    """The names of a list with commas, in the order of the report; all without a list."""
    names = wanted.split(",") if wanted else list(known)
    if unknown := set(names) - set(known):
        raise SystemExit(f"{flag}: unknown {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return [name for name in known if name in names]


def run(results: Results, names: list[str], cases: list[str], rounds: int, seconds: float) -> None:
    """All contenders take turns within each case, and all cases within each round."""
    for number in range(1, rounds + 1):
        for case in cases:
            for name in names:
                result = measure(CASES[case], CONTENDERS[name], seconds)
                results.add(case, name, result)
                say(f"round {number}/{rounds} {case} {name}: {shown(result)}")


def shown(result: Any) -> str:
    return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k}: {v}" for k, v in result.items())


def keep(results: Results, about: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / f"{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}"
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    document = {**about, **machine, "cases": results.as_json()}
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1))
    stem.with_suffix(".txt").write_text(table(results) + "\n")
    say(f"kept as {stem}.*")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is what the program is for


if __name__ == "__main__":
    sys.exit(main())
