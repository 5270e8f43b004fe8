"""Readers for the formats of other libraries, which run in a child process.

The HDF5 library, protobuf and TensorStore are written in C and C++. A damaged or hostile file can make them crash or take all
memory. In a child process with limits, such a file only makes one checkpoint fail, with a reason.

- `client`: starts the child, sends requests and enforces the limits
- `worker`: runs in the child and handles requests with one of the readers
- `listing`: the return type of the readers
- `hdf5`, `onnx_model`, `flax_msgpack`, `orbax_folder`, `event_file`: one reader per format
"""
