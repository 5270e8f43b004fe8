"""The class similarity matrices (CSMs), from arrays alone.

``weights``    the NCSM: from the classifier's weights
``confusion``  the CCSM: from the mistakes on a split
``templates``  the TNCSM: from the mean features of a split
``blocks``     rows of each on demand, where the whole is too large

A CSM is ``(C, C)``, stored as float32, raw (nothing scaled); NaN marks a class that the matrix does not have.
"""
