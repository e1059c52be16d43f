"""Reads a file that SparseFs wrote, with Python's standard library alone, and prints what is in it as JSON.

Checks what the safetensors format asks for: the header's length and alignment, and offsets without gaps or overlaps.
"""
import json
import struct
import sys

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
CODES = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "I16": "h", "I8": "b", "U8": "B", "BOOL": "?"}


def numbers(dtype, raw):
    if dtype == "BF16":  # the upper half of a 32-bit float
        return [struct.unpack("<f", b"\0\0" + raw[i : i + 2])[0] for i in range(0, len(raw), 2)]
    return list(struct.unpack("<%d%s" % (len(raw) // SIZES[dtype], CODES[dtype]), raw))


def read(path):
    with open(path, "rb") as file:
        whole = file.read()
    (length,) = struct.unpack("<Q", whole[:8])
    assert length % 8 == 0, "the header is aligned"
    header = json.loads(whole[8 : 8 + length].decode("utf-8"))
    data = whole[8 + length :]
    metadata = header.pop("__metadata__", {})
    tensors = {}
    following = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        assert set(entry) == {"dtype", "shape", "data_offsets"}, name
        begin, end = entry["data_offsets"]
        assert begin == following, "no gap and no overlap before " + name
        count = 1
        for size in entry["shape"]:
            count *= size
        assert end - begin == count * SIZES[entry["dtype"]], "the bytes of " + name
        assert begin % SIZES[entry["dtype"]] == 0, "the alignment of " + name
        following = end
        tensors[name] = {
            "dtype": entry["dtype"],
            "shape": entry["shape"],
            "numbers": numbers(entry["dtype"], data[begin:end]),
        }
    assert following == len(data), "no byte is left"
    return {"metadata": metadata, "tensors": tensors}


json.dump(read(sys.argv[1]), sys.stdout)
