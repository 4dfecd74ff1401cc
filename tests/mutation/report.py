"""The score of a sample, by part, with the equivalent mutants that are known left out."""

import json
from pathlib import Path

EQUIVALENTS = Path(__file__).parent / "equivalents.json"
KILLED = ("killed", "timed out")


def known():
    """{name of a mutant that changes nothing: the reason}"""
    found = json.loads(EQUIVALENTS.read_text(encoding="utf-8"))
    return {name: found["classes"].get(reason, reason)
            for name, reason in found["mutants"].items()}


def score(results):
    """A table in Markdown: mutants, equivalents, killed and share by part."""
    equivalent, rows = known(), {}
    for result in results:
        parts = result["module"].split(".")
        part = ".".join(parts[:2]) if parts[0] == "minirl" and len(parts) == 3 else parts[0]
        same = result["name"] in equivalent and result["status"] not in KILLED
        for row in (part, "all") + (("losses and gradients",) if result["loss"] else ()):
            counts = rows.setdefault(row, [0, 0, 0])
            counts[0] += 1
            counts[1] += same
            counts[2] += result["status"] in KILLED
    lines = ["| part | mutants | equivalent | killed | of the others |", "|---|---|---|---|---|"]
    for row, (many, same, killed) in sorted(rows.items(), key=lambda pair: (
            pair[0] in ("all", "losses and gradients"), pair[0])):
        share = f"{100 * killed / (many - same):.1f} %" if many > same else ""
        lines.append(f"| {row} | {many} | {same} | {killed} | {share} |")
    return "\n".join(lines)
