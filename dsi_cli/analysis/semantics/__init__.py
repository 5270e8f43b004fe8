"""The labels of a run, their senses in WordNet or another taxonomy, and the reference
matrices.
"""
