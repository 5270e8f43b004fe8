"""Sentences that describe a training run and its results, and warnings about the results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsi_cli.errors import count
from dsi_cli.queries import phases
from dsi_cli.queries.curve_panels import PANELS
from dsi_cli.report.best import MIN_Z, curves_of_first_measure, exclude_chance
from dsi_cli.report.classes import class_rows
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, UNCERTAIN

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

EXCESS = next(kind for kind in PANELS if kind.name == "excess")
MAX_NAMED = 5
"""Maximum number of labels that a sentence names."""


def sentences(results: Results, run: str) -> list[str]:
    """Return sentences on the checkpoints, labels, predictions, alignment and phases of a run."""
    return [
        *_checkpoint_sentences(results, run),
        *_label_sentences(class_rows(results, run)),
        *_prediction_sentences(results, run),
        *_alignment_sentences(results.curves_of(run)),
        *_phase_sentences(results, run),
    ]


def _checkpoint_sentences(results: Results, run: str) -> Iterator[str]:
    import pandas as pd

    table = results.checkpoints
    usable = table[(table["run"] == run) & (table["status"] == "ok")]
    epochs = results.epochs(run)
    if not epochs:
        yield "dsi could not use any checkpoint of this run."
        return
    if len(epochs) == 1:
        span = f"at epoch {results.shown_epoch(epochs[0], run)}"
    else:
        span = f"at {len(epochs)} epochs from {epochs[0]} to {epochs[-1]}"
    yield f"dsi analysed {count(len(usable), 'checkpoint')} {span}."

    last = usable.iloc[-1]
    sizes = count(len(class_rows(results, run)), "class")
    if not pd.isna(last["features"]):
        sizes += f" and {count(int(last['features']), 'feature')}"
    if isinstance(last["head"], str):
        yield f"The classifier head is {last['head']} with {sizes}."
    else:
        yield f"There is no classifier head; the analysis has {sizes}."
    if last["weights_used"] == "ema":
        yield "The weights are an exponential moving average (EMA)."
    if results.is_vast(run):
        yield (
            "This run has too many classes for stored matrices, so this page shows its curves and nearest classes, without "
            "definitions. dsi export --rows computes any part of a matrix."
        )


def _label_sentences(classes: pd.DataFrame) -> Iterator[str]:
    if classes["name"].isna().all():
        return  # the sentence on the alignment gives the reason
    is_found = classes["synset"].notna()
    methods = classes.loc[is_found, "resolved_by"].value_counts()
    if len(methods) > 1:
        details = " (" + ", ".join(f"{number:,} by {method}" for method, number in methods.items()) + ")"
    elif len(methods) == 1:
        details = f" (by {methods.index[0]})"
    else:
        details = ""
    yield f"dsi found {int(is_found.sum()):,} of {count(len(classes), 'label')} in WordNet{details}."


def _prediction_sentences(results: Results, run: str) -> Iterator[str]:
    import pandas as pd

    curves = results.curves
    for split in ("test", "train"):
        rows = curves[(curves["run"] == run) & (curves["metric"] == "mistakes") & (curves["split"] == split)]
        rows = rows.dropna(subset=["value"]).sort_values("epoch")
        if not len(rows):
            continue
        last = rows.iloc[-1]
        sentence = f"On {split}, the network made {count(int(last['value']), 'mistake')}"
        if not pd.isna(last["samples_used"]):
            sentence += f" on {count(int(last['samples_used']), 'sample')}"
        if not pd.isna(last["epoch"]):
            sentence += f" at epoch {int(last['epoch'])}"
        source = prediction_source(results.path, run, split)
        if source:
            sentence += f" (predictions from {source})"
        yield f"{sentence}."


def prediction_source(out: Path, run: str, split: str) -> str | None:
    """Return a description of the source of the last predictions on a split; None if it is unknown."""
    folder = layout.split_path(out, CONFUSIONS, run, split, 0).parent
    files = sorted(folder.glob("*.parquet"), key=lambda path: (len(path.stem), path.stem))
    if not files:
        return None
    provenance = parquet.options_of(files[-1]).get("from")
    source = provenance.get("source") if isinstance(provenance, dict) else None
    return source if isinstance(source, str) else None


def _alignment_sentences(curves: pd.DataFrame) -> Iterator[str]:
    # Prefer the alignment of the NCSM with WordNet.
    aligned = [curve for curve in curves_of_first_measure(curves, EXCESS) if (curve.of or "").endswith(",scsm")]
    if not aligned:
        reasons = curves.loc[(curves["metric"] == "sai") & curves["reason"].notna(), "reason"].tolist()
        yield f"There is no alignment with WordNet{f': {reasons[0]}' if reasons else ''}."
        return
    curve = next((curve for curve in aligned if curve.of == "ncsm,scsm"), aligned[0])

    best = int(np.nanargmax(exclude_chance(curve, curve.excess)))
    epoch, excess, z = curve.epochs[best], curve.excess[best], curve.z[best]
    if not np.isnan(z) and z < MIN_Z:
        yield (
            f"{curve.label} is never clearly above chance: at its best epoch, {epoch}, it is {z:.1f} standard deviations above "
            f"chance (z). Values below {MIN_Z:g} can be due to chance."
        )
        return
    deviations = "" if np.isnan(z) else f", {z:.1f} standard deviations above chance (z)"
    half = curve.epochs[np.flatnonzero(curve.excess >= excess / 2)[0]]
    yield (
        f"The excess of {curve.label} over chance is highest at epoch {epoch}: {excess:.3f} (0 is chance, 1 is identical)"
        f"{deviations}. It first reached half of this value at epoch {half}. "
        f"The raw value at epoch {epoch} is {curve.value[best]:.3f}, and its chance level is {curve.chance[best]:.3f}."
    )


def _phase_sentences(results: Results, run: str) -> Iterator[str]:
    """Yield the phases of the main curve or why it has none, and what follows from the phases."""
    text = phases.phase_sentences(results.path, run)
    for sentence in ([text.phases] if text.phases else []) + text.hints:
        yield f"{sentence[0].upper()}{sentence[1:]}."


def warnings(results: Results, run: str) -> list[str]:
    """Return warnings about unused checkpoints, unresolved and uncertain labels, and empty curves of a run."""
    curves = results.curves[results.curves["run"] == run]
    return [
        *_checkpoint_warnings(results.checkpoints[results.checkpoints["run"] == run]),
        *_label_warnings(class_rows(results, run)),
        *_curve_warnings(curves),
    ]


def _checkpoint_warnings(checkpoints: pd.DataFrame) -> Iterator[str]:
    for status, problem in (("failed", "cannot be read or analysed"), ("pending", "may still be being written")):
        rows = checkpoints[checkpoints["status"] == status]
        if len(rows):
            first = rows.iloc[0]
            example = ", for example" if len(rows) > 1 else ""
            skipped = f"dsi skipped {count(len(rows), 'checkpoint')} that {problem}{example}"
            yield f"{skipped}, {Path(first['path']).name}: {first['reason']}"


def _label_warnings(classes: pd.DataFrame) -> Iterator[str]:
    named = classes[classes["name"].notna()]
    unresolved = named[named["synset"].isna()]
    if len(unresolved):
        yield f"The comparison with WordNet leaves out {count(len(unresolved), 'label')} without a synset: {_names(unresolved)}"
    uncertain = named[named["synset"].notna() & (named["confidence"] < UNCERTAIN)]
    if len(uncertain):
        labels = count(len(uncertain), "label")
        yield f"{labels} may have a wrong synset (confidence below {UNCERTAIN} on a scale from 0 to 1): {_names(uncertain)}"


def _curve_warnings(curves: pd.DataFrame) -> Iterator[str]:
    """Yield the reasons of curves without any value; a curve with some values shows its gaps itself."""
    rows = curves[curves["value"].isna() & curves["reason"].notna()]
    if "variant" in rows:
        rows = rows[rows["variant"] != "pearson_corrected"]
    value_counts = curves.groupby(["metric", "of"], dropna=False)["value"].count()
    for (metric, matrices), group in rows.groupby(["metric", "of"], dropna=False):
        if matrices == "ncsm,scsm" or value_counts.get((metric, matrices), 0) > 0:
            continue  # the sentence on the alignment covers ncsm,scsm
        curve = f"{str(metric).upper()}({matrices})" if isinstance(matrices, str) else str(metric)
        yield f"{curve} has no values: {group['reason'].iloc[0]}"


def _names(classes: pd.DataFrame) -> str:
    names = ", ".join(map(str, classes["name"].iloc[:MAX_NAMED]))
    return f"{names} and {len(classes) - MAX_NAMED} more" if len(classes) > MAX_NAMED else names
