"""Tables -> answers: what a person asks of an output folder. Reads tables only.

``series``     the curves that figures and the report draw, panel by panel
``ordering``   in which order classes are shown, and their groups
``matrices``   the matrices of a run, and at which epochs change is seen
``overview``   a run at a glance: a line per few epochs
``phases``     the phases of a run in words, and what they hint at
``typicality`` how typical right and wrong samples are, epoch by epoch
``mistakes``   an epoch's most telling mistakes and confused pairs
``naming``     what classes are called, and which one a name means
``neighbors``  the classes nearest to a class, and the closest pairs
``neighbor_history``  how a class's neighbours changed over epochs
``nearness``   how far classes lie from each other, by rank
``moved``      images found again by the ends of their paths
``exporting``  one matrix or table, wide and named, to a file or stdout
"""
