"""The keys of what each command prints with ``--json``, for the page
``cli.md``; a test compares them with what is printed.
"""

from __future__ import annotations

import ast
import inspect
import json
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from dsi_cli.analysis.summary import RunSummary, Summary
from dsi_cli.labels.presets import Preset
from dsi_cli.store.schema import DIFF_TABLES, TABLES
from dsi_cli.wordnet.disambiguation.resolve import Resolution

Source = type[Any] | str
"""A class whose fields are keys, or a text: keys with notes, ``@TABLE -COLUMN`` for the
columns of a table, ``+COMMAND``.
"""

NEAR_AND_FAR = (
    "surprise: True if the network finds the two classes closer than their other"
    " similarities and the reference explain."
)

LISTING = (
    "run; epoch; split; most: The maximum number of rows.; found: The number that"
    " exists.; reference; title; legend; rows"
)
SIMILARITIES = (
    "similarity; wordnet_similarity; wordnet_rank: From 1, ties share their mean rank."
)
PAIR_OF_CLASSES = f"place; first; second; first_index; second_index; {SIMILARITIES}"
MISTAKE = (
    "truth; prediction; truth_index; prediction_index; rank: By the network's"
    " similarity.; wordnet_similarity; wordnet_rank; farness: The mean of the two"
    " ranks, each divided by its largest rank."
)

JSON: dict[str, tuple[str, dict[str, tuple[Source, ...]]]] = {
    "analyze": (
        "analyze runs -o out --no-report",
        {
            "": (
                Summary,
                (
                    "headline: The finding in one or two sentences.; exit_code; facts:"
                    " What dsi noticed: the columns of"
                    " [`facts.parquet`](tables.md#factsparquet), and its words in"
                    " `text`, `hint` and `command`."
                ),
            ),
            "runs": (
                RunSummary,
                "epochs; mistakes; phases; findings",
            ),
            "runs.epochs": (
                (
                    "run; epoch; agreement: Pearson's correlation of NCSM and SCSM: 0 at"
                    " chance, 1 if they are equal up to a positive linear rescaling.;"
                    " excess: The excess of SAI(NCSM, SCSM): 0 at chance, 1 at"
                    " identity.; z; measure: The measure of the SAI.; value; chance:"
                    " The chance level of the SAI.; max_wsi; min_wsi; accuracy;"
                    " train_accuracy; reason:"
                    " The reason for a missing SAI."
                ),
            ),
            "runs.mistakes": (
                (
                    "run; split; epoch; mistakes; nidm: The IDM over mistakes alone by the"
                    " network's similarity (NCSM or TNCSM).; nidm_z; widm: The IDM over"
                    " mistakes alone by WordNet similarity.; widm_z; chance: The chance"
                    " level of both IDMs.; ccsm: The excess of SAI(NCSM, CCSM).;"
                    " ccsm_z; gap: The excess of SAI(NCSM, TNCSM) on train minus that"
                    " on test, from equally many images: the paper's sign of"
                    " overfitting."
                ),
            ),
            "runs.phases": ("@phases.parquet",),
            "runs.findings": (
                (
                    "run; quantity; split; epoch: The last one with a value.; value;"
                    " low: The 95 % confidence interval.; high; chance; chance_std; z;"
                    " p_value; peak: The highest value.; peak_epoch; is_above_chance:"
                    " True if any epoch is."
                ),
            ),
        },
    ),
    "watch": (
        "watch runs -o out --every 0.1s --idle 0.3s --no-report",
        {"": ("event: ended.; why: What ended it.; +analyze",)},
    ),
    "scan": ("scan runs", {"": ("@checkpoints.parquet -modified_ns",)}),
    "scan --why": (
        "scan --why runs/a/epoch_0.pt",
        {
            "": ("verdict; candidates",),
            "candidates": ("name; shape; for: The evidence for this layer.; against",),
        },
    ),
    "scan --tensors": (
        "scan --tensors runs/a/epoch_0.pt",
        {"": ("name; shape; dtype; weights: raw or ema.",)},
    ),
    "labels": (
        "labels cifar10",
        {
            "": ("labels_id; preset; wordnet; pos; synonyms; labels",),
            "labels": (
                Resolution,
                (
                    "resolved_by: As in the table of classes.; confidence: 0 to 1, null"
                    " if unresolved.; uncertain: True below 0.85."
                ),
            ),
        },
    ),
    "labels --presets": ("labels --presets", {"": (Preset,)}),
    "wordnet": (
        "wordnet cifar10 -o matrix.csv",
        {
            "": (
                (
                    "labels_id; preset; reference; out; neighbors: The number of"
                    " nearest labels.; labels: As of dsi labels."
                ),
            )
        },
    ),
    "suspects": ("suspects out", {"": ("@suspects.parquet",)}),
    "neighbors": (
        "neighbors out --run a",
        {
            "": (LISTING, "kind; symmetric; wordnet_furthest: The largest rank.; vast"),
            "rows": (PAIR_OF_CLASSES, NEAR_AND_FAR),
        },
    ),
    "neighbors --class": (
        "neighbors out --run a --class dog",
        {
            "": (LISTING, "kind; wordnet_furthest; vast; of: The class."),
            "rows": ("place; name; class_index", SIMILARITIES, NEAR_AND_FAR),
        },
    ),
    "neighbors --over-epochs": (
        "neighbors out --run a --class dog --over-epochs",
        {
            "": (LISTING, "kind; wordnet_furthest; vast; of; epochs"),
            "rows": (
                (
                    "name; class_index; places: The rank at each of the epochs, from 1,"
                    " null if one of the two classes has no similarity."
                ),
                SIMILARITIES,
                NEAR_AND_FAR,
            ),
        },
    ),
    "mistakes": (
        "mistakes out --run a --sort surest",
        {
            "": (
                LISTING,
                (
                    "what: mistakes or pairs.; truth; prediction; order: unreasonable,"
                    " reasonable or surest.; own: The matrix of the ranks, ncsm or tncsm.;"
                    " furthest: The largest rank in it.; wordnet_furthest; pairs: The"
                    " most confused pairs."
                ),
            ),
            "rows": (
                (
                    "sample; path; score; epochs: Of surest, the number of the last"
                    " epochs with this prediction.; of_epochs: Of surest, the number"
                    " of the last epochs."
                ),
                MISTAKE,
                NEAR_AND_FAR,
            ),
            "pairs": ("count; share: Of the class's samples.", MISTAKE, NEAR_AND_FAR),
        },
    ),
    "compare": (
        "compare out --group (.)",
        {
            "": (
                (
                    "facts: Differences between the label lists, before the verdict.;"
                    " epochs: The unit of at, x and aligned_at.; split; measures;"
                    " reference; preferred: The group that is preferred to all"
                    " others.; recommendation: The verdict in one sentence.; coverage:"
                    " What the intervals cover.; notes; runs; pairs; chosen; criteria;"
                    " classes; networks; curves; reliability; changes: Of repetitions,"
                    " over the plateau.; robustness: Of the first three pairs.; files"
                ),
            ),
            "runs": (
                (
                    "label; group; output; run; classes; first_epoch; last_epoch;"
                    " best_accuracy; best_epoch; alignment: The excess of the SAI with"
                    " WordNet at the last epoch.; aligned_at: The first epoch at which"
                    " it was half of its maximum.; has_epochs"
                ),
            ),
            "pairs": (
                (
                    "first; second; answer; preferred; title; sentence; basis: equal"
                    " accuracy or last epochs.; split; level: The accuracy that all"
                    " runs reach.; reason"
                ),
            ),
            "chosen": (
                (
                    "first; second; group; run; epoch; epochs_completed; accuracy;"
                    " mistakes; has_epoch"
                ),
            ),
            "criteria": (
                (
                    "first; second; quantity; title; is_criterion; is_main: The"
                    " interval is corrected by Holm's method.; covers: classes, test"
                    " images, or for repetitions seeds and one of them.; first_value; second_value; difference; low;"
                    " high; level: Of the interval.; p_value; excludes_zero;"
                    " seed_deviation; seed_range: 95 % of pairs of repetitions differ"
                    " by at most this.; reason"
                ),
            ),
            "classes": (
                (
                    "first; second; name; likeness: The correlation of its percentile"
                    " ranks in the two networks.; first_agreement; second_agreement;"
                    " first_nearest; second_nearest"
                ),
            ),
            "networks": (
                (
                    "first; second; of; common_classes; classes_by; matched_by; at;"
                    " first_epoch; second_epoch; measure; value; null_mean; null_std;"
                    " z; excess; classes_used; reason"
                ),
            ),
            "curves": (
                (
                    "curve; group; runs: Their number.; x; mean; low; high; chance;"
                    " chance_std"
                ),
            ),
            "reliability": (
                (
                    "group; epoch; seeds: Their number.; classes_used; agreement: The"
                    " mean over seeds.; agreement_low; agreement_high; reliability: The"
                    " mean correlation of two seeds.; reliability_low;"
                    " reliability_high; corrected: The agreement divided by the square"
                    " root of the reliability.; low: Of the corrected agreement, over"
                    " seeds and classes.; high; seeds_low: Over seeds alone.;"
                    " seeds_high; classes_low; classes_high; reason"
                ),
            ),
            "changes": (
                (
                    "group; quantity; first_epoch; last_epoch; change; low; high;"
                    " falls: The interval is below 0."
                ),
            ),
            "robustness": (
                (
                    "first; second; measure: Of synsets.; pairs: all, within groups or"
                    " between groups.; correlation; first_value; second_value;"
                    " difference; low; high; differs: The conclusion is another than"
                    " in the first row."
                ),
            ),
        },
    ),
    "diff": (
        "diff runs/a/epoch_0.pt runs/a/epoch_3.pt",
        {
            "": (
                (
                    "headline; summary; first; second; classes; pairs: At most the 100"
                    " most changed.; groups; files"
                ),
            ),
            "first": ("title; path; epoch; dtype",),
            "summary": (
                (
                    "classes; moved_beyond_rounding; nothing_moved;"
                    " pairs_beyond_rounding; angles_compared; reason_no_angles;"
                    " correlation_z; variation; median_angle; median_angle_variation;"
                    " median_norm_change; median_similarity_change;"
                    " median_similarity_variation; moved_beyond_variation"
                ),
            ),
            "classes": ("@diff_classes.parquet",),
            "pairs": ("@diff_pairs.parquet",),
            "groups": ("@diff_groups.parquet",),
        },
    ),
    "plot": (
        "plot out wsi animation",
        {"": ("files; without_data: The names of figures.; out",)},
    ),
    "plot --list": ("plot out --list", {"": ("name; title; needs; has_data",)}),
    "report": ("report out", {"": ("report: Its path.; bytes",)}),
    "doctor": (
        "doctor",
        {
            "": ("dsi; Python; system; machine; WordNet; packages; missing",),
            "packages": (
                (
                    "name; wanted: The range of versions, empty for any.; version: The"
                    " installed version, or null.;"
                    " is_allowed: True if the package is installed in a version within"
                    " the range.; extra: The extra that asks for the package, or null for"
                    " what every installation has."
                ),
            ),
            "missing": (
                (
                    "name; problem; remedy: The command that installs it.; is_fatal:"
                    " True if dsi cannot analyse anything without it."
                ),
            ),
        },
    ),
}
"""For each command a call for the test, and the keys of each part of its document, by
the keys that lead there.
"""


def notes(*sources: Source) -> dict[str, str]:
    """Return the keys of a part, each with a note, which may be empty. The query of a
    list is no key, but its fields are.
    """
    found: dict[str, str] = {}
    for source in sources:
        if isinstance(source, str):
            found |= {
                key: note
                for key, _, note in (
                    item.partition(": ") for item in source.split("; ")
                )
            }
            continue
        # The note is the docstring of the field, or a comment at the end of its line.
        text = inspect.getsource(source)
        body, texts = ast.parse(text).body[0].body, {}  # type: ignore[attr-defined]
        for before, after in pairwise([*body, None]):
            if isinstance(before, ast.AnnAssign):
                comment = text.splitlines()[before.end_lineno - 1][
                    before.end_col_offset :
                ].partition("# ")[2]
                is_docstring = isinstance(after, ast.Expr) and isinstance(
                    after.value, ast.Constant
                )
                note = (
                    inspect.cleandoc(after.value.value)
                    if is_docstring
                    else comment and f"{comment}."
                )
                texts[before.target.id] = note[:1].upper() + note[1:]
        names = (
            [field.name for field in fields(source)]
            if is_dataclass(source)
            else source._fields
        )
        found |= {name: texts.get(name, "") for name in names if name != "query"}
    return found


def keys(*sources: Source) -> set[str]:
    """Return the keys of a part; the columns of tables are keys."""
    tables = {table.path: table for table in (*TABLES, *DIFF_TABLES)}
    found: set[str] = set()
    for key in notes(*sources):
        name, *left_out = key.lstrip("@+").split(" -")
        columns = (
            {column.name for column in tables[name].columns}
            if key.startswith("@")
            else {name}
        )
        found |= (
            keys(*JSON[name][1][""]) if key.startswith("+") else columns - set(left_out)
        )
    return found


def keys_at(printed: str, path: str) -> set[str]:
    """Return the keys of a part of what a command printed; of several lines the last
    counts.
    """
    part = json.loads(printed[printed.rfind("\n{") + 1 :])
    for key in path.split("."):
        part = (
            next(iter(part.values())) if key == "NAME" else part[key] if key else part
        )
        part = part[0] if isinstance(part, list) else part
    return set(part)


def page() -> str:
    """Return the keys of all commands in Markdown, each note where it first appears."""
    lines, given = [], set[tuple[str, str]]()
    for command, (_, parts) in JSON.items():
        lines += ["", f"### Keys of `dsi {command}`"]
        for path, sources in parts.items():
            lines += ["", *([f"**{path}**", ""] if path else [])]
            found = {
                key: "" if (key, note) in given else note
                for key, note in notes(*sources).items()
            }
            given |= set(found.items())
            bare = [
                f"`{key}`"
                for key, note in found.items()
                if not note and key[0] not in "@+"
            ]
            lines += [f"- {', '.join(bare)}"] if bare else []
            for key, note in found.items():
                name, *left_out = key.lstrip("@+").split(" -")
                if key.startswith("@"):
                    without = "".join(f" without `{column}`" for column in left_out)
                    lines.append(
                        "- the columns of"
                        f" [`{name}`](tables.md#{name.replace('.', '')}){without}"
                    )
                elif key.startswith("+"):
                    lines.append(f"- the keys of [`dsi {name}`](#keys-of-dsi-{name})")
                elif note:
                    text = (
                        " ".join(note.split())
                        .replace("``", "`")
                        .replace("None", "null")
                    )
                    lines.append(f"- `{key}`: {text}")
    return "\n".join(lines)
