"""The metrics of matrices that do not fit into memory: the same numbers, from blocks of rows.

``walk``           rows of a matrix on demand, and how they are gone through
``sums``           what one matrix adds up to: its scale, and Mantel's sums
``places``         where each value stands among all: ranks, from a fine histogram
``images``         SSIM in bands
``alignment``      SAI of two matrices, with everything that a value needs beside it
``resampled``      its interval, where draws are asked for
``survey``         WSI and nearest classes of one matrix
``dissimilarity``  IDM, from sparse counts
``by_class``       SAI in parts

All agree with the dense ones to 1e-6. Sums are exact in float64; of very many values ranks come from a fine histogram.
"""
