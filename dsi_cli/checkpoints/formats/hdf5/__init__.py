"""HDF5 files, read in plain Python: names, attributes and arrays, by exact ranges and within bounds.

The HDF5 library is written in C and not made for files that mean harm; what deep learning writes needs a small part of the
format, and that part is here. Read are files as h5py and Keras write them: superblocks 0 to 3, both forms of object headers,
groups by symbol table and by link messages, arrays that are compact, contiguous or in chunks (deflated, shuffled). Not read are
links to other names or files, groups of many links and chunk indices in the forms of ``libver="latest"``, and elements that are
no numbers; each is an error that says so, where it is met.

- `file`: a file's tree of groups and arrays; what other modules use
- `ranges`: the bytes of a file by address, each kept within the file and within what one file may ask for
- `headers`: the superblock, and an object's header as a list of messages
- `messages`: what single messages mean: shape, element type, layout, filters, attribute, link
- `groups`: the names in a group
- `chunks`: arrays that lie in pieces

Source: HDF5 File Format Specification Version 3.0, The HDF Group. Section numbers in the modules are its own.
"""
