"""Other common names for classes of the presets.

The names come from PyTorch's tutorial on CIFAR-10, darknet's COCO and Pascal VOC, Hugging Face's CIFAR-100 and COCO, and
torchvision's ImageNet-1k. Some are corrected spellings (*barberton daisy*). With these names, no preset equals another preset,
which a test checks for all pairs.
"""

from __future__ import annotations

_Names = dict[str, tuple[str, ...]]
_COCO: _Names = {
    "airplane": ("aeroplane",),
    "couch": ("sofa",),
    "donut": ("doughnut",),
    "hair drier": ("hair dryer",),
    "motorcycle": ("motorbike",),
    "tv": ("tvmonitor",),
}
_VOC: _Names = {
    "aeroplane": ("airplane",),
    "motorbike": ("motorcycle",),
    "sofa": ("couch",),
    "tvmonitor": ("tv", "television"),
}
ALIASES: dict[str, _Names] = {
    "imagenet1k": {"crane": ("crane bird", "construction crane")},
    "cifar10": {"airplane": ("aeroplane", "plane"), "automobile": ("car",)},
    "cifar100": {
        "crab": ("cra",),
        "maple_tree": ("maple",),
        "oak_tree": ("oak",),
        "palm_tree": ("palm",),
        "pine_tree": ("pine",),
        "willow_tree": ("willow",),
    },
    "fashion-mnist": {"T-shirt/top": ("T-shirt",), "Trouser": ("Trousers",)},
    "stl10": {"airplane": ("aeroplane", "plane"), "car": ("automobile",)},
    "caltech101": {"water_lilly": ("water lily",)},
    "caltech101-background": {"water_lilly": ("water lily",), "BACKGROUND_Google": ("background",)},
    "oxford-pets": {"German Shorthaired": ("German shorthaired pointer",)},
    "flowers102": {"barbeton daisy": ("barberton daisy",)},
    "voc20": _VOC,
    "voc21": _VOC,
    "coco80": _COCO,
    "coco91": _COCO | {"__background__": ("N/A",)},
}
"""``{preset: {class name: aliases}}``."""
