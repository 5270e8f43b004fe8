"""Find the labels of a run, resolve them in WordNet or another taxonomy, and prepare the reference matrices."""
