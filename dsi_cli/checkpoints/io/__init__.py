"""Read parts of a file by exact ranges, and JSON within bounds."""
