"""Files with the predictions of each epoch, which are read into one
`result.EvaluationResult` per epoch.

``result``             `EvaluationResult`, the record for all sources of predictions,
                       which is also stored
``files``              a file or a folder of predictions, and the files next to
                       checkpoints
``tables``             Parquet and CSV: one row per sample
``matrix_tables``      CSV: the confusion matrix or the scores of one epoch
``numpy_files``        NPY and NPZ, which are never unpickled
``arrays``             arrays of predictions, scores, targets or confusion counts
``epoch_predictions``  the predictions of one epoch in a file, and their conversion to
                       class numbers
"""
