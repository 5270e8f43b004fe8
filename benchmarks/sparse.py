"""Many large checkpoints that take little disk: what ``torch.save`` writes of ResNet-18 with Adam's state, the body a hole.

``python -m benchmarks.sparse FOLDER --checkpoints 400`` writes one run. PyTorch writes one file, with zeros in all but the
classifier; each checkpoint is a copy of it with another classifier and epoch, in which blocks of zeros take no room on
the disk. Whoever reads such a file whole still reads all its bytes; sums of parts (CRC-32) are right.
"""

from __future__ import annotations

import argparse
import struct
import zipfile
import zlib
from pathlib import Path

from benchmarks import interpolated

FEATURES = 512
FIRST_EPOCH = 256
"""Numbers from 256 to 65,535 take as many bytes in a pickle: copies differ in nothing but the number."""
_EPOCH = b"\x05\x00\x00\x00epochq\x01M"
_HEAD = 7.5
_BLOCK = 4096


def write(folder: Path, checkpoints: int, labels: str = "cifar100") -> Path:
    """Write a run of so many checkpoints ``epoch_NNNNN.pth``; one that is there already stays. Return the folder."""
    paths = [folder / f"epoch_{FIRST_EPOCH + number:05d}.pth" for number in range(checkpoints)]
    if all(path.exists() for path in paths):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    weights = list(interpolated.heads(labels, checkpoints, FEATURES))
    template = folder / "template"
    _save(template, len(weights[0]))
    whole, pickle, head = bytearray(template.read_bytes()), *_parts(template)
    at = whole.index(_EPOCH) + len(_EPOCH)
    template.unlink()
    for number, (path, weight) in enumerate(zip(paths, weights, strict=True)):
        whole[at : at + 2] = struct.pack("<H", FIRST_EPOCH + number)
        pickle.set(whole, bytes(pickle.of(whole)))
        head.set(whole, weight.astype("<f4").tobytes())
        _write_sparse(path, whole)
    return folder


def _save(path: Path, classes: int) -> None:
    import torch
    from torchvision.models import resnet18

    model = resnet18(num_classes=classes)
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.zero_()
        model.fc.weight.fill_(_HEAD)
    state = {
        "epoch": FIRST_EPOCH,
        "arch": "resnet18",
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, path)


class _Part:
    """A file of the archive, stored as it is: where its bytes lie, and the places of their sum."""

    def __init__(self, whole: bytes, info: zipfile.ZipInfo, entry: int) -> None:
        name, extra = struct.unpack_from("<HH", whole, info.header_offset + 26)
        self.begins = info.header_offset + 30 + name + extra
        self.ends = self.begins + info.file_size
        self._sums = [info.header_offset + 14, entry + 16]
        if info.flag_bits & 8:
            self._sums[0] = self.ends + 4

    def of(self, whole: bytearray) -> bytearray:
        return whole[self.begins : self.ends]

    def set(self, whole: bytearray, data: bytes) -> None:
        assert len(data) == self.ends - self.begins
        whole[self.begins : self.ends] = data
        for place in self._sums:
            struct.pack_into("<I", whole, place, zlib.crc32(data))


def _parts(path: Path) -> tuple[_Part, _Part]:
    """Return the pickle and the classifier's storage of an archive that `_save` wrote."""
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entry, found = archive.start_dir, {}
        for info in archive.infolist():
            part = _Part(whole, info, entry)
            entry += 46 + len(info.filename) + len(info.extra) + len(info.comment)
            is_head = whole[part.begins : part.begins + 4] == struct.pack("<f", _HEAD)
            found["head" if is_head else info.filename.partition("/")[2]] = part
    return found["data.pkl"], found["head"]


def _write_sparse(path: Path, whole: bytearray) -> None:
    """Write a file's blocks but for those of zeros, which become holes."""
    zeros, view = bytes(_BLOCK), memoryview(whole)
    with path.open("wb") as file:
        file.truncate(len(whole))
        for at in range(0, len(whole), _BLOCK):
            block = view[at : at + _BLOCK]
            if block != zeros[: len(block)]:
                file.seek(at)
                file.write(block)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoints", type=int, default=400)
    parser.add_argument("--labels", default="cifar100")
    write(**vars(parser.parse_args()))
