"""Compare runs: how similar two networks are to each other, and in which criteria they differ.

``runs``             the compared runs, from one results folder or several, and their labels.
``common_classes``   the classes and epochs that two runs have in common.
``cross_alignment``  the SAI between two networks by epoch.
``class_differences`` the classes that two networks see differently.
``equal_accuracy``   the criteria of two runs, or of two groups of repetitions, at equal accuracy.
``criteria``         the criteria, and the confidence intervals of their differences.
``repetitions``      groups of repeated runs, such as seeds, and the bands of their curves.
``verdict``          the criteria in which one network is higher, and the reasons.
``compare``          the whole comparison.
"""
