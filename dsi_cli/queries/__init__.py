"""Queries on the tables of a results folder: curves, mistakes, neighbours, phases and comparisons.

``curve_panels``      the curves of figures and of the report, grouped in panels.
``class_order``       the display order of classes, and their groups.
``class_names``       the names of classes, and the class that a name means.
``class_distance``    the ranks of all classes, by the network and by WordNet.
``matrices``          the matrices of a run that figures show.
``epoch_sampling``    the selection of a few of many epochs.
``epoch_summary``     alignment, WSI, accuracy and mistakes by epoch.
``findings``          the findings of each run, and one sentence about all runs.
``phases``            sentences about the phases of a run.
``typicality``        the typicality of correctly and wrongly classified samples by epoch.
``mistakes``          the worst mistakes and the most confused pairs of an epoch.
``neighbors``         the classes nearest to a class at one epoch or over the epochs, and the closest pairs.
``relocated_images``  the new paths of images that were moved after they were predicted.
``export``            one matrix or table as a file or on stdout.
``comparison``        the comparison of several runs.
"""
