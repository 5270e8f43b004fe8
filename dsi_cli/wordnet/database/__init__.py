"""Synsets, lemmas and hypernyms of a WordNet: the compiled version 3.0, another version
installed for NLTK, or a CSV file.
"""
