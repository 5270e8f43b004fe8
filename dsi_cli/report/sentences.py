"""What was analysed and found in a run, in sentences, and what a reader should be warned of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli.errors import count
from dsi_cli.queries import phases
from dsi_cli.queries.curve_panels import PANELS
from dsi_cli.report.best import SURE, first_measure, is_certain
from dsi_cli.report.classes import rows as classes_of
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, UNCERTAIN

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

EXCESS = next(kind for kind in PANELS if kind.name == "excess")
NAMED = 5
"""Labels and files that are named one by one in a sentence."""


def sentences(run: Results, name: str) -> list[str]:
    """Return what was analysed and found in a run."""
    curves = run.curves_of(name)
    return [
        *_analysed(run, name),
        *_labels(classes_of(run, name)),
        *_answers(run, name),
        *_alignment(curves),
        *_phases(run, name),
    ]


def _analysed(run: Results, name: str) -> Iterator[str]:
    usable = run.checkpoints[(run.checkpoints["run"] == name) & (run.checkpoints["status"] == "ok")]
    epochs = run.epochs(name)
    if not epochs:
        yield "No checkpoint of this run could be used."
        return
    last, classes = usable.iloc[-1], len(classes_of(run, name))
    span = (
        f"epoch {run.shown_epoch(epochs[0], name)}"
        if len(epochs) == 1
        else f"{len(epochs)} epochs from {epochs[0]} to {epochs[-1]}"
    )
    head = f"the classifier is {last['head']}" if isinstance(last["head"], str) else "without a classifier"
    width = "" if _missing(last["features"]) else f", {count(int(last['features']), 'feature')} wide"
    averaged = " (averaged weights, EMA)" if last["weights_used"] == "ema" else ""
    yield f"{count(len(usable), 'checkpoint')}, {span}; {head}{width}, with {count(classes, 'class')}{averaged}."
    if run.is_vast(name):
        yield (
            "So many classes have no matrix here: this page shows their curves and nearest classes, without definitions; any part"
            " of a matrix is made by dsi export --rows."
        )


def _labels(classes: pd.DataFrame) -> Iterator[str]:
    if classes["name"].isna().all():
        return  # the reason that there is no alignment says it
    found = int(classes["synset"].notna().sum())
    ways = classes.loc[classes["synset"].notna(), "resolved_by"].value_counts()
    by = ", ".join(f"{number:,} by {way}" for way, number in ways.items()) if len(ways) > 1 else next(iter(ways.index), "")
    yield f"{found:,} of {count(len(classes), 'label')} found in WordNet{f' ({by})' if by else ''}."


def _answers(run: Results, name: str) -> Iterator[str]:
    for split in ("test", "train"):
        source = answer_source(run.path, name, split)
        rows = run.curves[
            (run.curves["run"] == name) & (run.curves["metric"] == "mistakes") & (run.curves["split"] == split)
        ]
        rows = rows.dropna(subset=["value"]).sort_values("epoch")
        if not len(rows):
            continue
        last = rows.iloc[-1]
        samples = "" if _missing(last["samples_used"]) else f" of {count(int(last['samples_used']), 'sample')}"
        when = "" if _missing(last["epoch"]) else f" at epoch {int(last['epoch'])}"
        at = f"{count(int(last['value']), 'mistake')}{samples}{when}"
        yield f"Answers on {split}{f' from {source}' if source else ''}: {at}."


def answer_source(out: Path, name: str, split: str) -> str | None:
    """Return in words where the last answers on a split come from."""
    folder = layout.split_path(out, CONFUSIONS, name, split, 0).parent
    files = sorted(folder.glob("*.parquet"), key=lambda path: (len(path.stem), path.stem))
    made = parquet.options_of(files[-1]).get("from") if files else None
    source = made.get("source") if isinstance(made, dict) else None
    return source if isinstance(source, str) else None


def _alignment(curves: pd.DataFrame) -> Iterator[str]:
    aligned = [one for one in first_measure(curves, EXCESS) if (one.of or "").endswith(",scsm")]
    own = [one for one in aligned if one.of == "ncsm,scsm"] or aligned
    if not own:
        reasons = curves.loc[(curves["metric"] == "sai") & curves["reason"].notna(), "reason"].tolist()
        yield f"There is no alignment with WordNet{f': {reasons[0]}' if reasons else ''}."
        return
    one = own[0]
    place = int(np.nanargmax(is_certain(one, one.excess)))
    value, z = one.excess[place], one.z[place]
    if not np.isnan(z) and z < SURE:
        yield f"{one.label} is never clearly above chance: at its best epoch, {one.epochs[place]}, z is {z:.1f}."
        return
    deviations = "" if np.isnan(z) else f", {z:.1f} deviations"
    half = one.epochs[np.flatnonzero(one.excess >= value / 2)[0]]
    yield (
        f"The excess of {one.label} over chance is highest at epoch {one.epochs[place]}: {value:.3f} of the way from chance to "
        f"identity{deviations}. Half of that was reached by epoch {half}. "
        f"The raw value there is {one.value[place]:.3f}, where chance gives {one.chance[place]:.3f}."
    )


def _phases(run: Results, name: str) -> Iterator[str]:
    """Yield the phases of the curve that tells most, or why it has none, and what follows from them."""
    told = phases.phase_sentences(run.path, name)
    for sentence in ([told.phases] if told.phases else []) + told.hints:
        yield f"{sentence[0].upper()}{sentence[1:]}."


def warnings(run: Results, name: str) -> list[str]:
    """Return what a reader should be warned of in a run."""
    return [*_bad_files(run, name), *_bad_labels(classes_of(run, name)), *_nulls(run.curves[run.curves["run"] == name])]


def _bad_files(run: Results, name: str) -> Iterator[str]:
    rows = run.checkpoints[run.checkpoints["run"] == name]
    for status, told in (("failed", "could not be used"), ("pending", "were still being written")):
        bad = rows[rows["status"] == status]
        if len(bad):
            first = bad.iloc[0]
            yield f"{count(len(bad), 'checkpoint')} {told}, {Path(first['path']).name}: {first['reason']}"


def _bad_labels(classes: pd.DataFrame) -> Iterator[str]:
    named = classes[classes["name"].notna()]
    lost = named[named["synset"].isna()]
    if len(lost) and len(named):
        yield f"{count(len(lost), 'label')} without a synset take no part in what compares with WordNet: {_named(lost['name'])}"
    doubtful = named[named["synset"].notna() & (named["confidence"] < UNCERTAIN)]
    if len(doubtful):
        told = f"may be understood wrongly (confidence below {UNCERTAIN})"
        yield f"{count(len(doubtful), 'label')} {told}: {_named(doubtful['name'])}"


def _nulls(curves: pd.DataFrame) -> Iterator[str]:
    """Yield why whole curves are empty; where only some epochs are, the curves show it."""
    rows = curves[curves["value"].isna() & curves["reason"].notna()]
    if "variant" in rows:
        rows = rows[rows["variant"] != "pearson_corrected"]
    every = curves.groupby(["metric", "of"], dropna=False)["value"].count()
    for (metric, of), group in rows.groupby(["metric", "of"], dropna=False):
        if of == "ncsm,scsm":
            continue  # said in the sentence on alignment
        if every.get((metric, of), 0) == 0:
            named = f"{str(metric).upper()}({of})" if isinstance(of, str) else str(metric)
            yield f"{named} is empty: {group['reason'].iloc[0]}"


def _named(names: pd.Series) -> str:
    first = ", ".join(map(str, names.iloc[:NAMED]))
    return first + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))
