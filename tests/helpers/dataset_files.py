"""The same images written in every layout, by the libraries that people write them with."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq


def write_parquet(path, data, labels, *, names=None, column="label", image="image", plain=False, **options):
    """Write encoded images and labels as Hugging Face ``datasets`` does, or as plain binary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = pa.array(data, pa.binary()) if plain else pa.array([{"bytes": one, "path": None} for one in data], struct)
    table = pa.table({image: cells, column: labels})
    if names is not None:
        features = {image: {"_type": "Image"}, column: {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, **options)
    return path


def write_tar(path, members, **options):
    """Write (name, bytes) members into a tar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, options.pop("mode", "w"), **options) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path
