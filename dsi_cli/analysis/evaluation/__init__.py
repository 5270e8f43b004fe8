"""Collect the predictions of each run on each split, from files or by running the
model, and store them per epoch.
"""
