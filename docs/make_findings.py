"""Write ``findings.md``: which of the paper's findings the runs that ship with dsi show, with numbers: make findings.

``python docs/make_findings.py OUT`` takes an output of ``dsi demo``; a test compares the page. Whether something is shown is
decided here by a rule on intervals, never by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dsi_cli import Results, open_results, reliability
from dsi_cli.metrics.differences import (
    CsmPair,
    Difference,
    LabelledPredictions,
    alignment_difference,
    idm_difference,
    max_wsi_difference,
)
from dsi_cli.queries.phases import PHASE_NAMES

PAGE = Path(__file__).parent / "findings.md"
RUNS = {"cifar100-cnn": "CNN", "cifar100-vit": "ViT"}
Shown = Sequence[bool]
INTRO = """# What the demo shows of the paper

Which findings of the paper ([arXiv 2505.21338](https://arxiv.org/abs/2505.21338)) can be seen in the two runs that ship with
dsi, and which cannot. The numbers come from the tables of `dsi demo`, and `make findings` writes this page from them.

Read it with care. It is one small CNN (639,180 parameters, SGD) and one tiny ViT (147,876, AdamW), trained once each for 30
epochs on CIFAR-100: there is no spread between repetitions, and what differs between the two may be due to the optimiser, the
learning rate or the size as well as to the architecture. Every SAI stands beside its chance level; *excess* is 0 at chance and
1 at identity. Square brackets hold 95 % intervals: over classes for SAI and WSI, over mistakes for IDM ([the
method](method.md)). The tables say whether the interval of a difference excludes 0.
"""
OUTRO = """## What these runs cannot show

- **A run that hardly learns** (appendix E: similarity drops, then grows slowly): both runs learn.
- **Overfitting as a gap between SAI(NCSM, TNCSM) on train and test, SAI(CCSM, TNCSM), and how typical right and wrong samples
  are** (appendix H): these need features, so images and a model: `dsi analyze --test ... --train ... --model ... --templates`.
- **Other data sets and large networks**: see [comparing networks](comparing.md) for your own.
"""


class Finding(NamedTuple):
    """One finding of the paper."""

    claim: str
    verdict: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    reading: str


def phases(run: Results) -> Finding:
    found = [(short, row) for name, short in RUNS.items() for row in phases_of(run, name)]
    shown = [row["phase"] for _, row in found] == ["surge", "refinement", "stabilisation"] * 2
    rows = [(short, row["phase"], f"{row['first_epoch']:.1f}", end_of(row), signed(row["gain"], 3)) for short, row in found]
    return Finding(
        "Agreement with WordNet surges, is refined, and stabilises",
        "shown" if shown else "not shown",
        ("run", "phase of the agreement", "from epoch", "to epoch", "gain"),
        rows,
        "The surge lasts until 90 % of the largest agreement is reached, the refinement until the curve stays within its noise. "
        "The gain of a refinement is the change since the peak: a slight fall. [Phases](phases.md) has the definitions and what "
        "was measured.",
    )


def surge(run: Results) -> Finding:
    rows = []
    cnn, vit = (next(row for row in phases_of(run, name) if row["phase"] == "surge") for name in RUNS)
    for (name, short), end in zip(RUNS.items(), (cnn, vit), strict=True):
        sai, _ = sai_of(run, name)
        excess, one = sai["excess"], sai.loc[1]
        half = excess.index[excess >= excess.max() / 2][0]
        share = f"{one['excess']:.3f}, {one['excess'] / excess.max():.0%} of the highest"
        rows.append((short, end_of(end), str(half), f"{beside_chance(one)}, z {one['z']:.1f}", share))
    return Finding(
        "The CNN's similarity surges before the ViT's",
        "shown, by one run of each" if cnn["high"] < vit["low"] else "not shown",
        (
            "run",
            "the surge ends at epoch",
            "half of the highest excess by epoch",
            "SAI(NCSM, SCSM) at epoch 1",
            "its excess",
        ),
        rows,
        "After one epoch the CNN has most of the excess that it will ever have, the ViT little of it. Both learning rates warm up, "
        "the CNN's for three epochs and the ViT's for four, so the ViT's first epochs are slower by its schedule too.",
    )


def refinement(run: Results) -> Finding:
    rows, shown = [], []
    for name, short in RUNS.items():
        wsi = curve(run, name, metric="wsi", of="ncsm", variant="max")["value"]
        peak, last = int(wsi.idxmax()), int(wsi.index[-1])
        before, after = (run.csm("ncsm", epoch, run=name).to_numpy() for epoch in (peak, last))
        scsm = run.csm("scsm", run=name).to_numpy()
        fall, gain = (
            max_wsi_difference(before, after),
            alignment_difference(CsmPair(after, scsm), CsmPair(before, scsm)),
        )
        shown.append(rises(fall) and not falls(gain))
        rows.append((short, f"{wsi[0]:.3f}", f"{wsi[peak]:.3f} at {peak}", f"{wsi[last]:.3f}", told(fall), told(gain)))
    return Finding(
        "After the surge similarity is refined: classes move apart again, and alignment is kept",
        verdict(shown),
        ("run", "Max WSI, epoch 0", "highest", "last", "the fall", "excess of SAI(NCSM, SCSM) gained since then"),
        rows,
        "Max WSI is how alike a class is to its nearest classes. Both networks first make neighbours alike and then part them "
        "again, while alignment with WordNet even gains a little. The levels of the two runs are not to be compared: random "
        "directions of 320 numbers (the CNN) are less alike than those of 64 (the ViT), which is what epoch 0 shows.",
    )


def mistakes(run: Results) -> Finding:
    rows, shown = [], []
    for name, short in RUNS.items():
        last = run.epochs(name)[-1]
        gain = idm_difference(mistakes_in(run, name, "scsm", last), mistakes_in(run, name, "scsm", 1))
        shown.append(rises(gain))
        ends = [idm(run, name, "scsm").loc[epoch] for epoch in (1, last)]
        first, final = (curve(run, name, metric="severity").loc[epoch] for epoch in (1, last))
        severity = f"{first['value']:.2f} to {final['value']:.2f} (chance {final['null_mean']:.2f}, z {final['z']:.1f})"
        rows.append((short, *(f"{one['value']:.3f} (z {one['z']:.1f})" for one in ends), told(gain), severity))
    return Finding(
        "Mistakes are not only fewer, but become more reasonable",
        verdict(shown),
        ("run", "WIDM of mistakes, epoch 1", "last epoch", "gained", "severity"),
        rows,
        "WIDM over mistakes alone says how near a wrong answer is to the right one in WordNet: chance is 0.495, and 0.984 the "
        "most that ties in WordNet allow. Severity is steps up the taxonomy, so lower is better.",
    )


def peak(run: Results) -> Finding:
    rows, shown = [], []
    for name, short in RUNS.items():
        for of, word in (("ncsm", "NIDM"), ("scsm", "WIDM")):
            found = idm(run, name, of)
            top, last = int(found["value"].idxmax()), int(found.index[-1])
            fall = idm_difference(mistakes_in(run, name, of, top), mistakes_in(run, name, of, last))
            shown.append(rises(fall))
            ends = [
                f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" for one in (found.loc[top], found.loc[last])
            ]
            rows.append((short, word, str(top), *ends, told(fall)))
    return Finding(
        "IDM over mistakes reaches a peak and then falls slightly",
        verdict(shown),
        ("run", "metric", "highest at epoch", "highest", "last epoch", "the fall"),
        rows,
        "Chance is 0.495 for all of them. The curves rise and then stay: no fall from the highest value to the last is more than "
        "the noise of the mistakes, although the highest of 31 noisy values is too high by itself. A training of 30 epochs may be "
        "too short to show it.",
    )


def ccsm(run: Results) -> Finding:
    rows, shown, is_lower = [], [], []
    for name, short in RUNS.items():
        of_ncsm, of_ccsm = sai_of(run, name)
        is_lower += (of_ccsm["value"] < of_ncsm["value"]).tolist()
        for epoch in (1, 5, 15, run.epochs(name)[-1]):
            ncsm, scsm = (run.csm(kind, epoch, run=name).to_numpy() for kind in ("ncsm", "scsm"))
            ccsm = run.csm("ccsm", epoch, "test", run=name).to_numpy()
            sure = reliability(run.confusion(epoch, run=name).to_numpy()).value or 1.0
            above = alignment_difference(CsmPair(ncsm, scsm), CsmPair(ccsm, scsm))
            corrected = alignment_difference(CsmPair(ncsm, scsm), CsmPair(ccsm, scsm, sure), "pearson")
            shown.append((short, rises(above), rises(corrected)))
            pair = [beside_chance(sai.loc[epoch]) for sai in (of_ncsm, of_ccsm)]
            rows.append((short, str(epoch), *pair, told(above), f"{sure:.2f}", told(corrected)))
    above_chance, without_noise = (
        " and ".join(f"{word} {sum(one[k] for one in shown if one[0] == word)} times of 4" for word in RUNS.values())
        for k in (1, 2)
    )
    return Finding(
        "SAI(CCSM, SCSM) is lower than SAI(NCSM, SCSM)",
        f"raw, at {sum(is_lower)} of {len(is_lower)} epochs; above chance, {above_chance}; "
        f"without the noise of the counts, {without_noise}",
        (
            "run",
            "epoch",
            "SAI(NCSM, SCSM), cosine",
            "SAI(CCSM, SCSM), cosine",
            "difference of excess",
            "reliability of the CCSM",
            "difference of Pearson's SAI, corrected for it",
        ),
        rows,
        "The raw cosines are far apart, and that is chance: a confusion matrix is nearly all zeros, so its chance level is low. "
        "Above chance the interval of the CNN's difference excludes 0, and the difference shrinks in the end. Part of it is "
        "noise, since a CCSM is made of a few thousand mistakes: Pearson's SAI over the square root of the reliability is what "
        "endlessly many samples would give. By "
        "that measure nothing is left of the difference at the last epoch of either run.",
    )


FINDINGS: tuple[Callable[[Results], Finding], ...] = (phases, surge, refinement, mistakes, peak, ccsm)


def curve(run: Results, name: str, **where: str) -> Any:
    """Return a curve's rows by epoch."""
    rows = run.curves[run.curves["run"] == name]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.set_index("epoch").sort_index()


def sai_of(run: Results, name: str) -> list[Any]:
    return [curve(run, name, metric="sai", of=of, variant="cosine") for of in ("ncsm,scsm", "ccsm-test,scsm")]


def idm(run: Results, name: str, of: str) -> Any:
    return curve(run, name, metric="idm", of=of, variant="errors")


def mistakes_in(run: Results, name: str, of: str, epoch: int) -> tuple[LabelledPredictions, Any]:
    rows = run.predictions(epoch, run=name)
    samples = LabelledPredictions(rows["target"].to_numpy(), rows["prediction"].to_numpy())
    return samples, run.csm(of, epoch, run=name).to_numpy()


def phases_of(run: Results, name: str) -> list[Any]:
    rows = run.phases[(run.phases["run"] == name) & run.phases["curve"].str.startswith("agreement")]
    return rows[rows["phase"].isin(PHASE_NAMES)].to_dict("records")


def end_of(phase: dict[str, Any]) -> str:
    spread = "" if phase["low"] == phase["high"] else f" [{phase['low']:.1f}, {phase['high']:.1f}]"
    return f"{phase['last_epoch']:.1f}{spread}"


def beside_chance(row: Any) -> str:
    return f"{row['value']:.3f} (chance {row['null_mean']:.3f})"


def rises(found: Difference) -> bool:
    return found.low is not None and found.low > 0


def falls(found: Difference) -> bool:
    return found.high is not None and found.high < 0


def told(found: Difference) -> str:
    sure = "excludes" if found.excludes_zero else "includes"
    return f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}], {sure} 0"


def signed(value: float | None, digits: int = 3) -> str:
    assert value is not None
    return f"{value:+z.{digits}f}".replace("-", "−")


def verdict(shown: Shown) -> str:
    return "shown" if all(shown) else f"shown {sum(shown)} times of {len(shown)}" if any(shown) else "not shown"


def page(run: Results) -> str:
    """Return the page."""
    found = [finding(run) for finding in FINDINGS]
    lines = [INTRO, "| the paper's finding | in these runs |", "|---|---|"]
    lines += [f"| {one.claim} | {one.verdict} |" for one in found]
    for one in found:
        lines += ["", f"## {one.claim}", "", f"**{one.verdict[0].upper()}{one.verdict[1:]}.** {one.reading}", ""]
        lines += [f"| {' | '.join(one.header)} |", "|" + "---|" * len(one.header)]
        lines += [f"| {' | '.join(row)} |" for row in one.rows]
    return "\n".join([*lines, "", OUTRO])


if __name__ == "__main__":
    PAGE.write_text(page(open_results(sys.argv[1])), encoding="utf-8")
