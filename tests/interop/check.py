"""Reads .npy and .mtx files that the tests wrote, with the standard library alone, and fails where one is not as it
should be."""
import ast
import os
import struct
import sys

folder = sys.argv[1]


def npy(name):
    with open(os.path.join(folder, name), "rb") as f:
        data = f.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", name
    (length,) = struct.unpack("<H", data[8:10])
    header = data[10 : 10 + length].decode("latin1")
    assert (10 + length) % 64 == 0 and header.endswith("\n"), name
    said = ast.literal_eval(header.strip())
    assert set(said) == {"descr", "fortran_order", "shape"} and said["fortran_order"] is False, said
    code = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "|b1": "?"}[said["descr"]]
    count = 1
    for size in said["shape"]:
        count *= size
    return said["descr"], said["shape"], list(struct.unpack(f"<{count}{code}", data[10 + length :]))


def same(got, wanted):
    assert got == wanted, f"expected {wanted}, got {got}"


def lines(name):
    with open(os.path.join(folder, name), encoding="ascii", newline="") as f:
        text = f.read()
    assert text.endswith("\n") and "\r" not in text, name
    return text.splitlines()


same(npy("f8.npy"), ("<f8", (2, 3), [i / 3.0 - 1.0 for i in range(6)]))
same(npy("f4.npy"), ("<f4", (3,), [struct.unpack("<f", struct.pack("<f", 0.1))[0], -2.5, float("inf")]))
same(npy("i4.npy"), ("<i4", (3, 1), [-(2**31), 0, 2**31 - 1]))
same(npy("i8.npy"), ("<i8", (), [2**63 - 1]))
same(npy("b1.npy"), ("|b1", (3,), [True, False, True]))

coo = lines("coo.mtx")
same(coo[:2], ["%%MatrixMarket matrix coordinate real general", "3 4 3"])
entries = [line.split() for line in coo[2:]]
same([(int(r), int(c)) for r, c, _ in entries], [(1, 2), (3, 1), (3, 4)])
same([float(v) for _, _, v in entries], [1.0 / 3.0, -0.1, 1e-300])
same(lines("pattern.mtx"), ["%%MatrixMarket matrix coordinate pattern general", "3 4 3", "1 2", "3 1", "3 4"])
array = lines("array.mtx")
same(array[:2], ["%%MatrixMarket matrix array real general", "2 2"])
same([float(v) for v in array[2:]], [1.0, 2.0, 3.0, 1.0 / 3.0])
