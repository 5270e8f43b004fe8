"""Files of other libraries' formats, read by these libraries in a child process.

The HDF5 library, protobuf and TensorStore are written in C and C++. A damaged or hostile file can make them crash, or take all
memory. In a child process with limits, that is one checkpoint that cannot be used, with its reason.

- `client`: the side of dsi: starts the child, sends requests, enforces the limits
- `worker`: the side of the child: answers requests with one of the readers
- `listing`: what a reader returns
- `hdf5`, `onnx_model`, `flax_msgpack`, `orbax_folder`, `event_file`: one reader for each format
"""
