"""Answer questions about a results folder from its tables alone: curves, mistakes, neighbours, phases and comparisons.

``curve_panels``      the curves that figures and the report draw, panel by panel
``class_order``       the display order of classes, and their groups
``class_names``       the names of classes, and the class that a name means
``class_distance``    how far classes are from each other, by rank
``matrices``          the matrices of a run, and the epochs between which they change most
``epoch_summary``     a run at a glance: one line for each of a few epochs
``phases``            the phases of a run in words
``typicality``        how typical right and wrong samples are, by epoch
``mistakes``          the worst mistakes and the most confused pairs of an epoch
``neighbors``         the classes nearest to a class, and the closest pairs
``neighbor_history``  how the neighbours of a class changed over the epochs
``relocated_images``  images whose paths have changed since they were predicted
``export``            one matrix or table, wide and named, to a file or stdout
``comparison``        several runs side by side
"""
