"""Queries on the tables of a results folder: curves, mistakes, neighbours, phases and
comparisons.

``quantities``        the table of all quantities, and the curve of one quantity.
``curve_panels``      the curves of figures and of the report, grouped in panels.
``run_classes``       the names, display orders, groups and geometry of classes.
``matrices``          the matrices of a run, and the ranks of classes by the network and
                      by WordNet.
``epoch_sampling``    the selection of a few of many epochs.
``epoch_summary``     alignment, WSI, accuracy, mistakes and typicality by epoch.
``findings``          the findings of each run, and one sentence about all runs.
``mistakes``          the worst mistakes and the most confused pairs of an epoch.
``neighbors``         the classes nearest to a class at one epoch or over the epochs,
                      and the closest pairs.
``difference``        the differences between two networks with the same classes.
``export``            one matrix or table as a file or on stdout.
``variance_partition``  the shares of a run's similarity that several references explain.
``rsa_toolbox``       a run's matrices as an object of rsatoolbox.
``comparison``        the comparison of several runs.
"""
