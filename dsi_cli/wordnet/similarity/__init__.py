"""Similarity of synsets: shortest paths, depth and information content, for all pairs
of many labels at once.
"""
