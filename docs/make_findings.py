"""Write ``findings.md``: which of the paper's findings the runs that ship with dsi
show, with numbers: make findings.

``python docs/make_findings.py OUT`` takes an output of ``dsi demo``; a test compares
the page. Whether something is shown is decided here by a rule on intervals, never by
hand. One section between marks is written by hand, and is kept.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr

from dsi_cli import Results, open_results, reliability
from dsi_cli.metrics.differences import (
    CsmPair,
    Difference,
    LabelledPredictions,
    alignment_difference,
    idm_difference,
    max_wsi_difference,
)
from dsi_cli.metrics.phases import phases as curve_phases
from dsi_cli.metrics.phases import t90_difference
from dsi_cli.queries.findings import PHASE_NAMES
from dsi_cli.queries.run_classes import by_class

PAGE = Path(__file__).parent / "findings.md"
RUNS = {"cifar100-cnn": "CNN", "cifar100-vit": "ViT"}
INTRO = """# What the demo shows

This page lists findings of the paper ([arXiv 2505.21338](https://arxiv.org/abs/2505.21338)) and whether the runs that ship with
dsi show them: a small CNN (639,180 parameters, SGD) and a tiny ViT (147,876, AdamW), each trained once for 30 epochs on
CIFAR-100. Another training may differ, and the two also differ in optimiser, learning rate and size.

The [agreement](glossary.md) is Pearson's correlation: 0 is chance, 1 is the same. Brackets hold 95 % confidence intervals: over
classes for agreement and WSI, over mistakes for IDM. A finding is called shown if these intervals exclude 0 in the stated
direction.
"""
HAND = ("<!-- written by hand: begin -->", "<!-- written by hand: end -->")
"""`make findings` keeps the lines between these marks."""
OUTRO = """## What these runs cannot show

- **A run that hardly learns** (appendix E: similarity drops, then grows slowly). Both runs learn.
- **Overfitting, and how typical right and wrong samples are** (appendix H). These need [images and a model](howto/predictions.md).
- **Other data sets and large networks.**
"""


class Finding(NamedTuple):
    """One finding of the paper."""

    claim: str
    verdict: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    reading: str


def phases(run: Results) -> Finding:
    rows, shown = [], []
    for name, short in RUNS.items():
        surge, *later = phases_of(run, name)
        shown.append(
            [phase["phase"] for phase in later] == ["refinement", "stabilisation"]
        )
        change = (
            "a decline" if later[0]["phase"] == "refinement" else later[0]["reason"]
        )
        rows.append((short, end_of(surge), gain_of(surge), gain_of(later[0]), change))
    return Finding(
        "Agreement with WordNet surges, is refined, and stabilises",
        verdict(shown),
        (
            "run",
            "the surge ends at epoch",
            "gain of the surge",
            "change over the plateau",
            "this is",
        ),
        rows,
        "It is shown if the change over the plateau, after t95, is a decline beyond"
        " noise. [Phases](phases.md) has the definitions.",
    )


def surge(run: Results) -> Finding:
    rows, found = [], []
    for index, (name, short) in enumerate(RUNS.items()):
        agreement = sai(run, name, "ncsm,scsm", "pearson")
        value, first = agreement["value"], agreement.loc[1]
        half = value.index[value >= value.max() / 2][0]
        share = (
            f"{with_interval(first)}, {first['value'] / value.max():.0%} of the highest"
        )
        rows.append((short, end_of(phases_of(run, name)[0]), str(half), share))
        classes = run.alignment_by_class
        classes = classes[(classes["run"] == name) & classes["class_index"].notna()]
        without = classes.pivot(
            index="epoch", columns="class_index", values="pearson_without"
        ).sort_index()
        found.append(
            curve_phases(
                value.index.to_numpy(),
                value.to_numpy(),
                start=0.0,
                without=without.to_numpy(),
                run=index,
            )
        )
    interval = t90_difference(*found)
    assert interval is not None
    low, high = interval
    return Finding(
        "The CNN's agreement surges before the ViT's",
        "shown, by one run of each" if low > 0 else "not shown",
        (
            "run",
            "the surge ends at epoch",
            "half of the highest agreement by epoch",
            "agreement at epoch 1",
        ),
        rows,
        f"The surge of the ViT ends {low:.1f} to {high:.1f} epochs after that of the"
        " CNN. This 95 % confidence interval is paired: both runs have the same random"
        " weights of the classes. The learning rate of the ViT warms up for one epoch"
        " more, which also delays it.",
    )


def refinement(run: Results) -> Finding:
    rows, shown = [], []
    for name, short in RUNS.items():
        wsi = curve(run, name, metric="wsi", of="ncsm", variant="max")["value"]
        peak, last = int(wsi.idxmax()), int(wsi.index[-1])
        fall = max_wsi_difference(
            *(run.csm("ncsm", epoch, run=name).to_numpy() for epoch in (peak, last))
        )
        plateau = phases_of(run, name)[1]
        shown.append(rises(fall) and plateau["gain_high"] >= 0)
        rows.append(
            (
                short,
                f"{wsi[0]:.3f}",
                f"{wsi[peak]:.3f} at {peak}",
                f"{wsi[last]:.3f}",
                told(fall),
                gain_of(plateau),
            )
        )
    return Finding(
        "After the surge, neighbouring classes move apart again and the agreement does"
        " not fall",
        verdict(shown),
        (
            "run",
            "Max WSI, epoch 0",
            "highest",
            "last",
            "fall",
            "change of the agreement over its plateau",
        ),
        rows,
        "Max WSI is the cosine similarity of a class to its nearest classes (1 is"
        " identical). Its level depends on the width of the head, so do not compare it"
        " between the runs. The plateau of the agreement begins at its t95.",
    )


def mistakes(run: Results) -> Finding:
    rows, shown = [], []
    for name, short in RUNS.items():
        last = run.epochs(name)[-1]
        gain = idm_difference(
            mistakes_in(run, name, "scsm", last), mistakes_in(run, name, "scsm", 1)
        )
        shown.append(rises(gain))
        ends = [with_interval(idm(run, name, "scsm").loc[epoch]) for epoch in (1, last)]
        first, final = (
            curve(run, name, metric="severity").loc[epoch] for epoch in (1, last)
        )
        severity = (
            f"{first['value']:.2f} to {final['value']:.2f} (chance"
            f" {final['null_mean']:.2f})"
        )
        rows.append((short, *ends, told(gain), severity))
    return Finding(
        "Mistakes become more reasonable",
        verdict(shown),
        ("run", "WIDM of mistakes, epoch 1", "last epoch", "change", "severity"),
        rows,
        "For WIDM 0.495 is chance, and 0.984 is the most that WordNet's ties allow. A"
        " lower severity is better.",
    )


def peak(run: Results) -> Finding:
    rows, shown = [], []
    for name, short in RUNS.items():
        for of, word in (("ncsm", "NIDM"), ("scsm", "WIDM")):
            found = idm(run, name, of)
            top, last = int(found["value"].idxmax()), int(found.index[-1])
            fall = idm_difference(
                mistakes_in(run, name, of, top), mistakes_in(run, name, of, last)
            )
            shown.append(rises(fall))
            rows.append(
                (
                    short,
                    word,
                    str(top),
                    *(with_interval(found.loc[epoch]) for epoch in (top, last)),
                    told(fall),
                )
            )
    return Finding(
        "The IDM of mistakes reaches a peak and then falls slightly",
        verdict(shown),
        ("run", "metric", "highest at epoch", "highest", "last epoch", "fall"),
        rows,
        "0.495 is chance. The highest of 31 noisy values is too high by itself, which"
        " favours a fall.",
    )


def ccsm(run: Results) -> Finding:
    rows, shown = [], []
    for name, short in RUNS.items():
        for epoch in (1, 5, 15, run.epochs(name)[-1]):
            ncsm, scsm = (
                run.csm(kind, epoch, run=name).to_numpy() for kind in ("ncsm", "scsm")
            )
            ccsm = run.csm("ccsm", epoch, "test", run=name).to_numpy()
            sure = reliability(run.confusion(epoch, run=name).to_numpy()).value or 1.0
            above = alignment_difference(
                CsmPair(ncsm, scsm), CsmPair(ccsm, scsm), "pearson"
            )
            corrected = alignment_difference(
                CsmPair(ncsm, scsm), CsmPair(ccsm, scsm, sure), "pearson"
            )
            shown.append((rises(above), rises(corrected)))
            both = [
                with_interval(sai(run, name, of, "pearson").loc[epoch])
                for of in ("ncsm,scsm", "ccsm-test,scsm")
            ]
            if epoch in (1, run.epochs(name)[-1]):
                rows.append(
                    (
                        short,
                        str(epoch),
                        *both,
                        told(above),
                        f"{sure:.2f}",
                        told(corrected),
                    )
                )
    plain, corrected_count = (sum(one[k] for one in shown) for k in (0, 1))
    return Finding(
        "Mistakes agree less with WordNet than the network does",
        f"shown at {plain} of {len(shown)} epochs, and at {corrected_count} of"
        f" {len(shown)} after correction for few mistakes",
        (
            "run",
            "epoch",
            "network",
            "mistakes",
            "difference",
            "reliability of the CCSM",
            "corrected difference",
        ),
        rows,
        "The epochs are 1, 5, 15 and 30; the table has the first and the last. The"
        " noise of few mistakes lowers their agreement. The corrected difference"
        " divides it by the square root of the reliability (1 is free of noise).",
    )


def simplex(run: Results) -> Finding:
    rows, shown, largest = [], [], []
    for name, short in RUNS.items():
        for metric, variant, word in (
            ("nc2_angles", "deviation", "unequal angles"),
            ("nc2_norms", "centred", "unequal norms"),
        ):
            found = curve(run, name, metric=metric, variant=variant)
            value, last = found["value"], found.iloc[-1]
            shown.append(last["value"] < last["null_mean"] - 2 * last["null_std"])
            peak = int(value.idxmax())
            chance = f"{last['null_mean']:.3f} ± {last['null_std']:.3f}"
            rows.append(
                (
                    short,
                    word,
                    f"{value[0]:.3f}",
                    f"{value[peak]:.3f} at {peak}",
                    f"{last['value']:.3f}",
                    chance,
                )
            )
        found = curve(run, name, metric="effective_rank", variant="centred")
        value, last = found["value"], found.iloc[-1]
        low, chance = (
            int(value.idxmin()),
            f"{last['null_mean']:.1f} ± {last['null_std']:.1f}",
        )
        rows.append(
            (
                short,
                "effective rank",
                f"{value[0]:.1f}",
                f"{value[low]:.1f} at {low}",
                f"{last['value']:.1f}",
                chance,
            )
        )
        last = run.spectrum[
            (run.spectrum["run"] == name) & (run.spectrum["index"] == 1)
        ].iloc[-1]
        largest.append(f"{last['share']:.1%} ({last['null_mean']:.1%}) in the {short}")
    return Finding(
        "The class vectors approach a simplex (neural collapse)",
        verdict(shown),
        (
            "run",
            "index",
            "epoch 0",
            "furthest from a simplex at epoch",
            "last epoch",
            "random head ± standard deviation",
        ),
        rows,
        "Unequal angles and norms are 0 for a simplex, and the effective rank is then"
        " 99. A collapse is shown if the angles and norms are less unequal than those of"
        " a random head, by more than two standard deviations. Both networks first move away from the simplex and then"
        " come closer. Neural collapse is described for much longer trainings, and the"
        " ViT's 64 features are too few for a simplex of 100 classes. The largest"
        " singular value ends with more of the squared sum than in a random head:"
        f" {' and '.join(largest)}.",
    )


def norms(run: Results) -> Finding:
    last = {name: by_class(run, name, "norm").iloc[:, -1].to_numpy() for name in RUNS}
    rows, shown = [], []
    for name, short in RUNS.items():
        names = (
            run.classes[run.classes["run"] == name]
            .sort_values("class_index")["name"]
            .tolist()
        )
        falling = np.argsort(-last[name])
        ends = [
            ", ".join(f"{names[i]} ({last[name][i]:.2f})" for i in part)
            for part in (falling[:3], falling[:-4:-1])
        ]
        counts = run.confusion(run.epochs(name)[-1], run=name).to_numpy()
        rows.append(
            (
                short,
                *ends,
                correlation(last[name], counts.diagonal() / counts.sum(axis=1)),
            )
        )
        shown.append("[+" in rows[-1][-1])
    return Finding(
        "Classes with long class vectors are recognised more often",
        verdict(shown),
        (
            "run",
            "longest vectors",
            "shortest vectors",
            "correlation of norm and accuracy of a class",
        ),
        rows,
        "Correlations are Spearman's over the 100 classes, with 95 % confidence"
        " intervals; 0 is chance. The norms of the CNN and those of the ViT correlate by"
        f" {correlation(*last.values())}. All classes have equally many training"
        " images.",
    )


def correlation(first: Any, second: Any) -> str:
    """Return Spearman's correlation with its 95 % confidence interval by Fisher's
    transformation (Fieller et al. 1957).
    """
    value = float(spearmanr(first, second).statistic)
    half = 1.96 * math.sqrt(1.06 / (len(first) - 3))
    return (
        f"{signed(value, 2)}"
        f" [{', '.join(signed(math.tanh(math.atanh(value) + side), 2) for side in (-half, half))}]"
    )


FINDINGS: tuple[Callable[[Results], Finding], ...] = (
    phases,
    surge,
    refinement,
    mistakes,
    peak,
    ccsm,
)


def curve(run: Results, name: str, **where: str) -> Any:
    """Return a curve's rows by epoch."""
    rows = run.curves[run.curves["run"] == name]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.set_index("epoch").sort_index()


def sai(run: Results, name: str, of: str, measure: str) -> Any:
    return curve(run, name, metric="sai", of=of, variant=measure)


def idm(run: Results, name: str, of: str) -> Any:
    return curve(run, name, metric="idm", of=of, variant="errors")


def mistakes_in(
    run: Results, name: str, of: str, epoch: int
) -> tuple[LabelledPredictions, Any]:
    rows = run.predictions(epoch, run=name)
    samples = LabelledPredictions(
        rows["target"].to_numpy(), rows["prediction"].to_numpy()
    )
    return samples, run.csm(of, epoch, run=name).to_numpy()


def phases_of(run: Results, name: str) -> list[Any]:
    rows = run.phases[
        (run.phases["run"] == name) & run.phases["curve"].str.startswith("agreement")
    ]
    return rows[rows["phase"].isin(PHASE_NAMES)].to_dict("records")


def end_of(phase: dict[str, Any]) -> str:
    spread = (
        ""
        if phase["low"] == phase["high"]
        else f" [{phase['low']:.1f}, {phase['high']:.1f}]"
    )
    return f"{phase['last_epoch']:.1f}{spread}"


def gain_of(phase: dict[str, Any]) -> str:
    return (
        f"{signed(phase['gain'])} [{signed(phase['gain_low'])},"
        f" {signed(phase['gain_high'])}]"
    )


def with_interval(row: Any) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def rises(found: Difference) -> bool:
    return found.low is not None and found.low > 0


def told(found: Difference) -> str:
    return f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}]"


def signed(value: float | None, digits: int = 3) -> str:
    assert value is not None
    return f"{value:+z.{digits}f}".replace("-", "−")


def verdict(shown: Sequence[bool]) -> str:
    return (
        "shown"
        if all(shown)
        else (
            f"shown in {sum(shown)} of {len(shown)} cases"
            if any(shown)
            else "not shown"
        )
    )


def hand_written() -> str:
    """Return the section of the present page that is written by hand, with its
    marks.
    """
    page = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    begin, end = HAND
    kept = page.split(begin)[1].split(end)[0] if begin in page and end in page else "\n"
    return f"{begin}{kept}{end}"


def page(run: Results) -> str:
    """Return the page."""
    found = [finding(run) for finding in FINDINGS]
    beyond = [simplex(run), norms(run)]
    lines = [INTRO, "| the paper's finding | in these runs |", "|---|---|"]
    lines += [f"| {one.claim} | {one.verdict} |" for one in found]
    lines += ["", "| beyond the paper | in these runs |", "|---|---|"]
    lines += [f"| {one.claim} | {one.verdict} |" for one in beyond]
    for one in [*found, *beyond]:
        lines += [
            "",
            f"## {one.claim}",
            "",
            f"**{one.verdict[0].upper()}{one.verdict[1:]}.** {one.reading}",
            "",
        ]
        lines += [f"| {' | '.join(one.header)} |", "|" + "---|" * len(one.header)]
        lines += [f"| {' | '.join(row)} |" for row in one.rows]
    return "\n".join([*lines, "", hand_written(), "", OUTRO])


if __name__ == "__main__":
    PAGE.write_text(page(open_results(sys.argv[1])), encoding="utf-8")
