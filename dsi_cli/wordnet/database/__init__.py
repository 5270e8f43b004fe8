"""The nouns and verbs of a WordNet: synsets, lemmas and hypernyms; the compiled 3.0, one that NLTK has installed, or a CSV file."""
