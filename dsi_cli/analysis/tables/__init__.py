"""Make the rows of the result tables from matrices, predictions and training logs."""
