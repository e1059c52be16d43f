// A sparse matrix times a vector, without torch. eng/aot.fsx compiles this program ahead of time, too.
using System;
using SparseFs;
using SparseFs.Kernels;

var plan = new SpmmPlan(Topology.Uniform(100, 784, 7840, default)); // 7840 of 78400 weights exist
float[] values = new float[7840], x = new float[784], y = new float[100];
Array.Fill(values, 0.5f);
Array.Fill(x, 1f);
CpuKernels.Shared.Spmm(plan, values, [], x, 1, y); // y = W x
var sum = 0f;
foreach (var output in y) sum += output;
Console.WriteLine($"{CpuKernels.Shared.VectorBits} bits, sum {sum}");
