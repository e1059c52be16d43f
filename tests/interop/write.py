"""Writes .npy and .mtx files with the standard library alone, from the formats' descriptions, for the tests to read."""
import os
import struct
import sys

folder = sys.argv[1]


def npy(name, descr, shape, data, fortran=False, version=1):
    header = repr({"descr": descr, "fortran_order": fortran, "shape": shape})
    prefix = 10 if version == 1 else 12
    header += " " * (-(prefix + len(header) + 1) % 64) + "\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    with open(os.path.join(folder, name), "wb") as f:
        f.write(b"\x93NUMPY" + bytes([version, 0]) + length + header.encode("latin1") + data)


def text(name, lines):
    with open(os.path.join(folder, name), "w", newline="\n") as f:
        f.write("\n".join(lines) + "\n")


values = [i / 3.0 - 1.0 for i in range(6)]
turned = [values[3 * (i % 2) + i // 2] for i in range(6)]
npy("f8.npy", "<f8", (2, 3), struct.pack("<6d", *values))
npy("f8-fortran.npy", "<f8", (2, 3), struct.pack("<6d", *turned), fortran=True)
npy("f8-v2.npy", "<f8", (2, 3), struct.pack("<6d", *values), version=2)
npy("i4.npy", "<i4", (3,), struct.pack("<3i", -(2**31), 0, 2**31 - 1))
npy("i8.npy", "<i8", (2,), struct.pack("<2q", -(2**63), 2**63 - 1))
npy("b1.npy", "|b1", (3,), bytes([1, 0, 1]))

text(
    "coo.mtx",
    [
        "%%MatrixMarket matrix coordinate real general",
        "%",
        "3 4 3",
        f"3 1 {-0.1!r}",
        f"1 2 {1.0 / 3.0!r}",
        f"3 4 {1e-300!r}",
    ],
)
text("array.mtx", ["%%MatrixMarket matrix array real general", "%", "2 2", "1.0", "2.0", "3.0", repr(1.0 / 3.0)])
