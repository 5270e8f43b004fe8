"""Word sense disambiguation: the synset that each label of a list means, and how
certain that is.
"""
