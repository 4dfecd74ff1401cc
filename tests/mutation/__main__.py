"""Try a sample of mutants: `PYTHONPATH=tests python -m mutation --sample 100 --seed 1`."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from mutation.covering import ALL, recorded
from mutation.operators import PACKAGES, ROOT, all_mutants, sample_of
from mutation.report import KILLED, known, score
from mutation.trying import Campaign


def main(arguments=None):
    """Print each verdict, then the score and who survived; the exit status says whether any did."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=100, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--module", default="", help="a pattern for names of modules")
    parser.add_argument("--in-losses", action="store_true",
                        help="only functions that hold a loss or a gradient, and their helpers")
    parser.add_argument("--name", default="", help="only mutants whose name contains this")
    parser.add_argument("--all", action="store_true",
                        help="all mutants of a statement, and not one of each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget", type=float, default=10,
                        help="seconds of tests, as recorded, for one mutant")
    parser.add_argument("--list", action="store_true", help="only name the mutants")
    parser.add_argument("--json", help="a file for the verdicts")
    parser.add_argument("--again", metavar="FILE", help="only those that such a file says survive "
                        "or are slow: with a larger --budget, or after tests were written; it is "
                        "brought up to date")
    options = parser.parse_args(arguments)
    pairs = [(tree, mutant) for tree, mutant in all_mutants(options.module)
             if (mutant.loss or not options.in_losses) and options.name in mutant.name]
    earlier = json.loads(Path(options.again).read_text("utf-8")) if options.again else []
    if earlier:
        left = {result["name"] for result in earlier if result["status"] != "killed"}
        pairs = [pair for pair in pairs if pair[1].name in left]
    elif not options.all:
        pairs = sample_of(pairs, options.sample, options.seed)
    if options.list:
        print("\n".join(mutant.name for _, mutant in pairs))
        return 0
    files = [*PACKAGES, *sorted(str(path.relative_to(ROOT))
                                for path in (ROOT / "tests").glob("test_*.py"))]
    tests = recorded(files, ROOT / "build" / "mutation")
    campaign = Campaign(pairs, tests, options.budget, options.workers,
                        lambda line: print(line, file=sys.__stdout__, flush=True))
    pytest.main(["-q", "-p", "no:cacheprovider", "--capture=sys", *ALL,
                 *(str(ROOT / file) for file in files)], plugins=[campaign])
    new = {result["name"]: result for result in campaign.results}
    results = [new.get(result["name"], result) for result in earlier] or campaign.results
    if options.json or options.again:
        Path(options.json or options.again).write_text(
            json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    print(f"seed {options.seed}:", dict(Counter(result["status"] for result in results)))
    print("killers that fail without a mutant:", campaign.failing or "none")
    print(score(results))
    return int(any(result["status"] not in KILLED and result["name"] not in known()
                   for result in results))


if __name__ == "__main__":
    sys.exit(main())
