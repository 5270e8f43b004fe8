"""Predictions made elsewhere: files that hold what a network answered at each epoch, as one `Outcome` an epoch.

Modules
-------
outcome
    ``Outcome``, the one record that every source of predictions gives.
files
    The way in: ``read`` (a file or a folder of files) to ``Predictions``, and ``find_beside``.
truth
    The truth from a file of its own, and what it must have in common with the predictions.
stacks
    NPY and NPZ: arrays of predictions and of confusion counts.
rows
    Tables: a row a sample, a row a pair of classes, or a row a class of a confusion matrix.
wide
    A confusion matrix as text: a line a class.
sheets
    ``Sheet``: what a file holds of one epoch, and the outcome that it stands for.
selection
    Which sheets are a run's, and which of its epochs each belongs to.
classes
    Labels as a file has them, numbers or names, and the class numbers that they stand for.
arrays, tables
    The containers: NPY and NPZ (nothing is ever unpickled), Parquet and CSV.
numbers
    Whole numbers and counts out of whatever type they were saved in.
"""
