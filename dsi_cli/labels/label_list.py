"""The record of a label list.

The index of a name is the index of the class's row in the classifier. The WordNet id of a name was chosen by the user or by the
author of a preset; it is None if nobody chose one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class LabelList:
    """Class names in the classifier's order."""

    names: tuple[str, ...]
    """One name per class; a name may be repeated (ImageNet-1k has two cranes)."""
    wnids: tuple[str | None, ...] | None
    """The WordNet id or synset name of each class; None if the list has no ids."""
    source: str
    """The source of the list, for messages."""
    preset: str | None = None
    """The preset with the same classes."""
    superclasses: tuple[str | None, ...] | None = None
    """The superclass of each class; None if the list has no superclasses."""
    subset_of: str | None = None
    """The preset that contains all classes and others; the ids are then the preset's."""
    path: str | None = field(default=None, compare=False)
    """The file of the list, if any."""

    @property
    def description(self) -> str:
        """The source with the preset that the list equals or is a part of, for messages.

        >>> LabelList(("cat", "dog"), None, "classes.txt", subset_of="cifar10").description
        'classes.txt, which are classes of the preset cifar10'
        """
        if self.preset is not None and self.source != f"the preset {self.preset}":
            return f"{self.source}, which are the preset {self.preset}"
        if self.subset_of is not None:
            return f"{self.source}, which are classes of the preset {self.subset_of}"
        return self.source

    @cached_property
    def id(self) -> str:
        """The ``labels_id`` of tables: 12 hex digits that depend only on the names and ids.

        >>> cats = LabelList(("cat", "dog"), None, "typed in")
        >>> cats.id, cats.id == LabelList(("cat", "dog"), None, "classes.txt").id
        ('80811080eb38', True)
        """
        # JSON preserves the boundaries of names, and escapes lone surrogates, which UTF-8 lacks.
        return hashlib.sha256(json.dumps([self.names, self.wnids]).encode("ascii")).hexdigest()[:12]

    @property
    def duplicates(self) -> tuple[str, ...]:
        """The names of several classes, in order and without repeats.

        >>> LabelList(("crane", "dog", "crane"), None, "typed in").duplicates
        ('crane',)
        """
        return tuple(name for name, count in Counter(self.names).items() if count > 1)
