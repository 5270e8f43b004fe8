"""The metrics of networks with so many classes that their similarity matrices are never whole in memory."""
