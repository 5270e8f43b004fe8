"""Predictions that were made elsewhere: files with the predictions of each epoch, read into one `Outcome` per epoch.

Modules
-------
outcome
    ``Outcome``, the record that every source of predictions gives, and ``Answer``, all that a network gives on a split.
files
    ``read`` reads a file or a folder into ``Predictions``; ``find_beside`` finds ``preds.npy`` and ``targets.npy``.
tables
    Parquet and CSV: one row per sample.
numpy_files
    NPY and NPZ: arrays of predictions or of confusion counts. Nothing is ever unpickled.
epoch_predictions
    ``EpochPredictions``, what a file holds for one epoch, and its outcome.
classes
    Class numbers, and class names.
"""
