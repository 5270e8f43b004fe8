"""The tables of an output folder: columns, types, meaning. Text alone: the writer, the docs and the tests read it."""

from __future__ import annotations

from typing import NamedTuple

SCHEMA_VERSION = 1
TEXT, INTEGER, FLOAT, FLAG = "string", "int64", "double", "bool"
TEXTS, FLOATS, INTEGERS = "list<string>", "list<float>", "list<int64>"


UNCERTAIN = 0.85
"""A synset of less confidence wants a person's look: so do an eighth of ImageNet-1k's, with six in seven of the wrong ones."""


class Column(NamedTuple):
    """One column; any value may be null unless its meaning says otherwise."""

    name: str
    type: str
    meaning: str


class Table(NamedTuple):
    """One table, a file of that name or a folder of such files."""

    path: str
    row: str
    columns: tuple[Column, ...]


_RUN = Column(
    "run",
    TEXT,
    "the run's name: the shortest path suffix of its folder that is unique, and what tells it from other runs there; never null",
)
_EPOCH = Column("epoch", INTEGER, "the trainer's own number; null if a run's only checkpoint has none")
_COMPLETED = Column("epochs_completed", INTEGER, "finished epochs, where there is evidence for how the trainer counts")
_STEP = Column("step", INTEGER, "optimiser steps: tells saves within one epoch apart")
_SPLIT = Column("split", TEXT, "train or test; never null")
_CLASS = Column("class_index", INTEGER, "row of the head, from 0; never null")
_SIMILARITY = Column(
    "similarity", FLOATS, "similarity to each class in order of class_index, raw; null to a class that the matrix lacks"
)

CHECKPOINTS = Table(
    "checkpoints.parquet",
    "a file found",
    (
        _RUN,
        Column("path", TEXT, "absolute path of the file, or of the folder where that is the checkpoint"),
        _EPOCH,
        _COMPLETED,
        Column("epoch_source", TEXT, "contents, file name, folder name or order"),
        Column("step", INTEGER, "optimiser steps"),
        Column("format", TEXT, "container"),
        Column("trainer", TEXT, "who wrote it"),
        Column("bytes", INTEGER, "size on disk, shards together"),
        Column("head", TEXT, "name of the classifier's weight"),
        Column("weights_used", TEXT, "raw or ema"),
        Column("classes", INTEGER, "classes that are compared: rows of the head, less extra_classes unless these are kept"),
        Column("features", INTEGER, "width of the head"),
        Column("extra_classes", INTEGER, "rows for no object or background"),
        Column("dtype", TEXT, "type of the stored weight"),
        Column(
            "fingerprint",
            TEXT,
            "SHA-256, hex, of the head as (rows, features) little-endian float32, extra rows included",
        ),
        Column("status", TEXT, "ok, failed, skipped (a duplicate) or pending (still being written)"),
        Column("reason", TEXT, "why the status is not ok, or what should be known though it is"),
        Column("modified_ns", INTEGER, "time of the last change, nanoseconds since 1970: how a later call knows the file"),
    ),
)
CLASSES = Table(
    "classes.parquet",
    "a class",
    (
        _RUN,
        Column("labels_id", TEXT, "the label list; null without labels"),
        _CLASS,
        Column("name", TEXT, "the label"),
        Column("synset", TEXT, "WordNet synset, dog.n.01 or run.v.01; of 3.0 unless --wordnet names another"),
        Column("wnid", TEXT, "its WordNet id, n02084071 or v01926311"),
        Column("definition", TEXT, "WordNet's gloss"),
        Column(
            "resolved_by",
            TEXT,
            "wnid, synset, preset, map, synonyms, only sense, chosen sense, spelling, head noun, head verb, unresolved, or"
            " placeholder",
        ),
        Column(
            "confidence", FLOAT, f"that the synset is meant, 0 to 1: below {UNCERTAIN} have a look; null where unresolved"
        ),
        Column("candidates", TEXTS, "all synsets that the label could mean, the likeliest first"),
        Column("candidate_scores", FLOATS, "their chances; empty where an id decides"),
        Column("reason", TEXT, "why this synset, or why none; null where an id decides"),
        Column("display_order", INTEGER, "place of the class where classes are shown, from 0"),
        Column(
            "group",
            TEXT,
            "semantic group: the hypernym that holds the class and its neighbours, carnivore.n.01, or the list's superclass",
        ),
        Column("samples_train", INTEGER, "samples of the class in the train split; null where there is no such split"),
        Column("samples_test", INTEGER, "samples of the class in the test split"),
    ),
)
CURVES = Table(
    "curves.parquet",
    "a point of a curve",
    (
        _RUN,
        _EPOCH,
        _COMPLETED,
        Column("step", INTEGER, "optimiser steps"),
        Column(
            "metric",
            TEXT,
            "sai, idm, wsi, mean_row, reliability, accuracy, accuracy_top5, balanced_accuracy, superclass_accuracy, mistakes,"
            " severity, loss, learning_rate",
        ),
        Column("of", TEXT, "the matrices: ncsm,scsm or ncsm,ccsm-test for a SAI, ncsm for a WSI or an IDM"),
        Column(
            "reference",
            TEXT,
            "the reference matrix where scsm takes part, e.g. wordnet3.0-path; A|B: A given B; of severity and superclass_accuracy"
            " the taxonomy, or cifar100-superclasses, list-superclasses",
        ),
        Column("split", TEXT, "train or test, where the metric has one"),
        Column(
            "variant",
            TEXT,
            "the measure of a SAI (partial_pearson: given another reference), of which cosine, mse and pearson have a value above"
            " 4,096 classes; all, errors or macro of an IDM;"
            " mean, max or min of a WSI (max@0.9 for another quantile)",
        ),
        Column("value", FLOAT, "the metric"),
        Column("null_mean", FLOAT, "what chance gives: the mean over random relabellings of the classes"),
        Column("null_std", FLOAT, "its standard deviation"),
        Column("z", FLOAT, "deviations above chance, positive where more alike"),
        Column("excess", FLOAT, "0 at chance, 1 at identity"),
        Column(
            "ceiling",
            FLOAT,
            "the best value that these two sets of values could reach; null for a SAI of over 4,096 classes",
        ),
        Column(
            "p_value",
            FLOAT,
            "share of relabellings at least as alike; without --permutations of symmetric matrices alone",
        ),
        Column(
            "low",
            FLOAT,
            "lower end of the 95 % interval: of a SAI that of its excess, over classes (none above 4,096); of an IDM over samples",
        ),
        Column("high", FLOAT, "upper end"),
        Column("classes_used", INTEGER, "classes that took part"),
        Column("samples_used", INTEGER, "samples that took part"),
        Column("reason", TEXT, "why something is null"),
    ),
)
PHASES = Table(
    "phases.parquet",
    "a phase of a run on one of its curves, or a curve without phases",
    (
        _RUN,
        Column(
            "curve",
            TEXT,
            "agreement ncsm,scsm (excess of cosine ncsm,scsm if Pearson was not asked for; tncsm-test without a classifier),"
            " wsi max, widm test; never null",
        ),
        Column("phase", TEXT, "surge, refinement, stabilisation; or t50, t90, t95; null if none is found"),
        Column("first_epoch", FLOAT, "where it begins; interpolated between checkpoints"),
        Column("last_epoch", FLOAT, "where it ends; of t50, t90 and t95 when that share of the plateau is reached"),
        Column("low", FLOAT, "lower end of the 95 % interval of last_epoch"),
        Column("high", FLOAT, "upper end"),
        Column("gain", FLOAT, "what the curve gains: up to the plateau; of a refinement since the plateau"),
        Column("gain_low", FLOAT, "lower end of the 95 % interval of gain"),
        Column("gain_high", FLOAT, "upper end"),
        Column("reason", TEXT, "why no phase is found"),
    ),
)
CSMS = Table(
    "csms",
    "a class's row of one matrix",
    (
        _RUN,
        Column("kind", TEXT, "ncsm, ncsm_centred, ccsm or tncsm; never null"),
        Column("split", TEXT, "train or test, where the matrix has one"),
        _EPOCH,
        _COMPLETED,
        _STEP,
        _CLASS,
        _SIMILARITY,
    ),
)
NEIGHBORS = Table(
    "neighbors",
    "a class and one of its nearest (above 4,096 classes, in place of the matrix)",
    (
        _RUN,
        Column("kind", TEXT, "ncsm or ncsm_centred; never null"),
        _EPOCH,
        _COMPLETED,
        _STEP,
        _CLASS,
        Column("neighbor", INTEGER, "class_index of the near class; never null"),
        Column("rank", FLOAT, "its rank among all other classes, from 1, the nearest; ties share the mid-rank"),
        Column("similarity", FLOAT, "similarity of the two, raw"),
    ),
)
HEADS = Table(
    "heads",
    "a class's row of the classifier (above 4,096 classes: any part of the matrix is made from it)",
    (
        _RUN,
        _EPOCH,
        _COMPLETED,
        _STEP,
        _CLASS,
        Column("weight", FLOATS, "the row as it is in the checkpoint, flat, as float32"),
    ),
)
REFERENCES = Table(
    "references",
    "a class's row of a reference matrix",
    (
        Column("reference", TEXT, "e.g. wordnet3.0-path; never null"),
        Column("labels_id", TEXT, "the label list; never null"),
        _CLASS,
        Column("name", TEXT, "the label"),
        _SIMILARITY,
    ),
)
REFERENCE_NEIGHBORS = Table(
    "reference_neighbors",
    "a class and one of its nearest in a reference, from the nearest on (`dsi wordnet`, in place of a large matrix)",
    (
        Column("reference", TEXT, "e.g. wordnet3.0-path; never null"),
        Column("labels_id", TEXT, "the label list; never null"),
        _CLASS,
        Column("name", TEXT, "the label"),
        Column("neighbor", INTEGER, "class_index of the near class; never null"),
        Column("neighbor_name", TEXT, "its label"),
        Column(
            "rank",
            FLOAT,
            "its rank among the classes with a synset, from 1; classes that are as similar share the mid-rank",
        ),
        Column(
            "ties",
            INTEGER,
            "classes that are exactly as similar, this one included: more than are listed if cut within them",
        ),
        Column("similarity", FLOAT, "similarity of the two"),
    ),
)
CONFUSIONS = Table(
    "confusions",
    "a class's row of counts",
    (
        _RUN,
        _SPLIT,
        _EPOCH,
        _COMPLETED,
        _STEP,
        Column("class_index", INTEGER, "the truth: row of the head, from 0; never null"),
        Column("count", INTEGERS, "samples of the class predicted as each class, in order of class_index"),
    ),
)
PREDICTIONS = Table(
    "predictions",
    "a sample",
    (
        _RUN,
        _SPLIT,
        _EPOCH,
        _COMPLETED,
        _STEP,
        Column("sample", INTEGER, "its number in the data, from 0; never null"),
        Column("path", TEXT, "where its image lies"),
        Column("target", INTEGER, "the truth, a class_index; never null"),
        Column("prediction", INTEGER, "a class_index; never null"),
        Column("score", FLOAT, "how sure the network was: the softmax of the prediction where the model was run"),
    ),
)
TYPICALITY = Table(
    "typicality.parquet",
    "the right or the wrong samples of a class",
    (
        _RUN,
        _SPLIT,
        _EPOCH,
        _COMPLETED,
        _STEP,
        _CLASS,
        Column("correct", FLAG, "whether these are the samples predicted right; never null"),
        Column("samples", INTEGER, "how many these are"),
        Column("group_cosine", FLOAT, "cosine of their mean feature with the class's template; null without a sample"),
        Column("null_mean", FLOAT, "what random subsets of as many of the class's samples give"),
        Column(
            "sample_cosine",
            FLOAT,
            "mean cosine of a sample with the template of the class's other samples; null without others",
        ),
    ),
)
TYPICALITY_HISTOGRAM = Table(
    "typicality_histogram.parquet",
    "a bin of the histogram of sample cosines of the right or the wrong samples of a split",
    (
        _RUN,
        _SPLIT,
        _EPOCH,
        _COMPLETED,
        _STEP,
        Column("correct", FLAG, "whether these are the samples predicted right; never null"),
        Column("low", FLOAT, "lower end of the bin, included"),
        Column("high", FLOAT, "upper end"),
        Column("samples", INTEGER, "samples in the bin"),
    ),
)
ALIGNMENT_BY_CLASS = Table(
    "alignment_by_class.parquet",
    "a class at an epoch, or a group of classes: then class_index is null",
    (
        _RUN,
        _EPOCH,
        _COMPLETED,
        _STEP,
        Column("of", TEXT, "the network's own similarity: ncsm; tncsm-test or tncsm-train without a classifier"),
        Column("reference", TEXT, "the reference matrix, e.g. wordnet3.0-path; never null"),
        Column("class_index", INTEGER, "row of the head, from 0; null in the row of a group"),
        Column("group", TEXT, "semantic group; null where the class has none"),
        Column(
            "pearson",
            FLOAT,
            "of a class: correlation of its row with its row in the reference; of a group: SAI of its classes among themselves",
        ),
        Column("z", FLOAT, "deviations above chance, positive where more alike"),
        Column(
            "pearson_without",
            FLOAT,
            "the agreement of all other classes: Pearson's correlation of the two matrices without this class; null for a group",
        ),
        Column("classes_used", INTEGER, "classes that took part"),
        Column("reason", TEXT, "why something is null"),
    ),
)
TABLES = (
    CHECKPOINTS,
    CLASSES,
    CURVES,
    ALIGNMENT_BY_CLASS,
    PHASES,
    CSMS,
    NEIGHBORS,
    HEADS,
    REFERENCES,
    REFERENCE_NEIGHBORS,
    CONFUSIONS,
    PREDICTIONS,
    TYPICALITY,
    TYPICALITY_HISTOGRAM,
)
