"""The version of dsi: the package's, and a part of every table's metadata."""

__version__ = "0.2.0"
