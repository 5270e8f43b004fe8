"""Compare runs: how similar two networks are to each other, and in which criteria they
differ.

``runs``            the compared runs and their labels, and the classes and epochs that
                    two runs have in common.
``network_pairs``   the SAI between two networks by epoch, and the classes that they see
                    differently.
``equal_accuracy``  the criteria of two runs, or of two groups of repetitions, at equal
                    accuracy.
``criteria``        the criteria, and the confidence intervals of their differences.
``repetitions``     groups of repeated runs, such as seeds, and the bands of their
                    curves.
``clusters``        clusters of classes, for intervals over clusters.
``reliability``     the reliability over repetitions, and the agreement corrected for it.
``compare``         the whole comparison, with the verdict and its reasons.
"""
