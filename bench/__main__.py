"""Measures linksocks beside its peers; prints medians and, in brackets, ratios to the two-hop TCP relay.

Usage:
  scripts/bench [options]

Options:
  --quick           the most telling cases with short measurements: about five minutes
  --only=NAMES      contenders, with commas between them
  --case=NAMES      cases, or the beginnings of their names, with commas between them
  --before=FOLDER   measure the working copy in this folder too, as `before`
  --rounds=NUMBER   how often everything is measured (default: 5, quick: 2)
  --seconds=NUMBER  how long a number is measured (default: 2, quick: 0.8)
  --results=FOLDER  where reports go (default: bench/results)
  --list            print the names of contenders and cases
  -h, --help        print this text

A run leaves its report as text, all numbers as JSON, and a plot as SVG.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from docopt import docopt

from bench.cases import CASES, Case, measure
from bench.contenders import CONTENDERS, Contender, other_copy
from bench.plot import plot
from bench.report import Results, headroom, table
from bench.targets import judged

ROOT = Path(__file__).parents[1]


@dataclass
class Run:
    """One run of the bench: what is measured and what came out."""

    contenders: Mapping[str, Contender]
    cases: Mapping[str, Case]
    rounds: int
    seconds: float
    folder: Path
    began: datetime.datetime = field(default_factory=lambda: datetime.datetime.now().replace(microsecond=0))
    busy: float = field(default_factory=lambda: os.getloadavg()[0])  # other work on this machine is noise
    results: Results = field(default_factory=Results)

    def measure(self) -> None:
        """In each round and case the contenders take turns."""
        there = {name: contender for name, contender in self.contenders.items() if not contender.missing}
        for number in range(1, self.rounds + 1):
            for case_name, case in self.cases.items():
                for name, contender in there.items():
                    result = measure(case, contender.start, self.seconds)
                    self.results.add(case_name, name, result)
                    say(f"{number}/{self.rounds}  {case_name:12}  {name:16}  {_shown(result)}")
            self.keep()

    def report(self) -> str:
        parts = [
            f"{self.began:%Y-%m-%d %H:%M}, {self.rounds} rounds, {self.seconds:g} s for each number, "
            f"{os.cpu_count()} cores, load average {self.busy:.1f} at the start; medians (and ratios to the relay)",
            table(self.results),
            "\n".join(
                f"not measured: {name}: {why}" for name, c in self.contenders.items() if (why := c.missing)
            ),
            headroom(self.results),
            "\n".join(judged(self.results)),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def keep(self) -> None:
        """After each round: a long run that is cut short has told something."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = str(self.folder / f"{self.began:%Y-%m-%dT%H-%M-%S}")
        document = {
            "began": self.began.isoformat(),
            "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": sys.version},
            "load average": self.busy,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "missing": {
                name: contender.missing for name, contender in self.contenders.items() if contender.missing
            },
            "cases": self.results.as_json(),
        }
        Path(stem + ".json").write_text(json.dumps(document, indent=1))
        Path(stem + ".txt").write_text(self.report())
        Path(stem + ".svg").write_text(plot(self.results, f"{self.began:%Y-%m-%d %H:%M}"))
        say(f"kept in {stem}.txt, .json and .svg")


def main() -> int:
    options = docopt(__doc__ or "")
    quick = options["--quick"]
    contenders = dict(CONTENDERS)
    if options["--before"]:
        contenders["before"] = other_copy(options["--before"])
    if options["--list"]:
        say(f"contenders: {', '.join(contenders)}\ncases: {', '.join(CASES)}")
        return 0
    cases = {name: case for name, case in CASES.items() if options["--case"] or not (quick and case.thorough)}
    wanted = options["--only"]
    run = Run(
        {name: contenders[name] for name in _chosen(wanted, contenders)},
        {name: cases[name] for name in _chosen(options["--case"], cases)},
        int(options["--rounds"] or (2 if quick else 5)),
        float(options["--seconds"] or (0.8 if quick else 2)),
        Path(options["--results"] or ROOT / "bench" / "results"),
    )
    if not wanted:
        _make_peers(long_builds=not quick)
    _prepare()
    try:
        run.measure()
    except KeyboardInterrupt:
        say("stopped: this is what was measured")
    if run.results.rounds:
        say("\n" + run.report())
    return 0


def _chosen(wanted: str | None, known: Iterable[str]) -> list[str]:
    """The names in a list with commas, in the order of the report; without a list, all."""
    if not wanted:
        return list(known)
    names = set()
    for word in wanted.split(","):
        found = [name for name in known if name == word] or [name for name in known if name.startswith(word)]
        if not found:
            raise SystemExit(f"there is no {word!r}, but {', '.join(known)}")
        names.update(found)
    return [name for name in known if name in names]


def _make_peers(*, long_builds: bool) -> None:
    """What can't be made is reported as missing."""
    subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "peers"), *(["--bench"] if long_builds else [])], check=False
    )


def _prepare() -> None:
    """What all processes inherit."""
    os.environ.setdefault("PEER_LOG", "WARNING")  # the drivers of the peers: no log line for each connection
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _shown(result: Mapping[str, object]) -> str:
    return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k}: {v}" for k, v in result.items())


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is what the program is for


if __name__ == "__main__":
    sys.exit(main())
