"""Compare runs: how similar two networks are to each other, and in which criteria they differ at equal accuracy.

``runs``             the runs that are compared, of one results folder or several, and their names
``common_classes``   the classes and epochs that two runs have in common
``cross_alignment``  the SAI between two networks, by epoch
``equal_accuracy``   the criteria of two runs, or of two groups of repetitions, at equal accuracy
``criteria``         the criteria, and how each difference gets its confidence interval
``repetitions``      runs that repeat each other, such as seeds, and the band of their curves
``verdict``          which network the paper's criteria prefer, and why
``compare``          all of these in one record
"""
