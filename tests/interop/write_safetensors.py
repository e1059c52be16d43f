"""Writes files as Python programs would, with Python's standard library alone, for SparseFs to read.

The layer is 3 x 4 with the weights 0.5 at (0, 1), -2 at (0, 3) and 3 at (2, 0), and the bias 1, 2, 3.
"""
import json
import struct
import sys

DENSE = [0.0, 0.5, 0.0, -2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0]
MASK = [1.0 if weight != 0.0 else 0.0 for weight in DENSE]
HIDDEN = [weight if weight != 0.0 else 9.0 for weight in DENSE]  # what a mask hides
BIAS = ("F32", [3], struct.pack("<3f", 1.0, 2.0, 3.0))


def floats(shape, values):
    return ("F32", shape, struct.pack("<%df" % len(values), *values))


FORMS = {
    "sparselinear": {
        "fc.weights": floats([3], [3.0, -2.0, 0.5]),
        "fc.indices": ("I64", [2, 3], struct.pack("<6q", 2, 0, 0, 0, 3, 1)),
        "fc.bias": BIAS,
    },
    "masked": {
        "fc.weight": floats([3, 4], HIDDEN),
        "fc.mask": ("BOOL", [3, 4], bytes(int(m) for m in MASK)),
        "fc.bias": BIAS,
    },
    "prune": {
        "fc.weight_orig": floats([3, 4], HIDDEN),
        "fc.weight_mask": floats([3, 4], MASK),
        "fc.bias": BIAS,
    },
    "zeros": {"fc.weight": floats([3, 4], DENSE), "fc.bias": BIAS},
}


def write(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


for form, tensors in FORMS.items():
    write(sys.argv[1] + "/" + form + ".safetensors", tensors)

# A model in three files, as Hugging Face's libraries write it.
weight_map = {}
for at, (name, tensor) in enumerate(FORMS["masked"].items()):
    shard = "model-%05d-of-00003.safetensors" % (at + 1)
    write(sys.argv[1] + "/" + shard, {name: tensor})
    weight_map[name] = shard

with open(sys.argv[1] + "/model.safetensors.index.json", "w", encoding="utf-8") as file:
    file.write(json.dumps({"metadata": {"total_size": 72}, "weight_map": weight_map}, indent=2, sort_keys=True) + "\n")
