using System;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

#pragma warning disable CS8981 // lower case, as torch, torch.nn and torch.nn.functional are

public static partial class sparsenn
{
    /// <summary>Multiplying with a sparse matrix, as differentiable functions of a pattern and its values.</summary>
    /// <remarks>W is the [rows, cols] matrix that has <c>values</c> (length nnz, slot order) at the pattern. Gradients
    /// of any order are right, and one that nobody asks for is not computed.</remarks>
    public static partial class functional
    {
        /// <summary>x · Wᵀ + bias, as torch.nn.functional.linear.</summary>
        /// <param name="connectivity">The pattern of W, shape [rows, cols].</param>
        /// <param name="values">Shape [nnz], in slot order.</param>
        /// <param name="x">Shape [*, cols], of the dtype and on the device of values.</param>
        /// <param name="bias">Shape [rows], or null for none.</param>
        /// <returns>Shape [*, rows].</returns>
        /// <exception cref="ArgumentException">An argument is null, or a shape, a dtype or a device is not as said.</exception>
        public static Tensor linear(Connectivity connectivity, Tensor values, Tensor x, Tensor? bias = null) =>
            SparseOps.Linear(connectivity, values, bias, x);

        /// <summary>x · Wᵀ.</summary>
        /// <param name="connectivity">The pattern of W, shape [rows, cols].</param>
        /// <param name="values">Shape [nnz], in slot order.</param>
        /// <param name="x">Shape [*, cols], of the dtype and on the device of values.</param>
        /// <returns>Shape [*, rows].</returns>
        /// <exception cref="ArgumentException">An argument is null, or a shape, a dtype or a device is not as said.</exception>
        public static Tensor spmm(Connectivity connectivity, Tensor values, Tensor x) =>
            SparseOps.Spmm(connectivity, values, x);

        /// <summary>g · W.</summary>
        /// <param name="connectivity">The pattern of W, shape [rows, cols].</param>
        /// <param name="values">Shape [nnz], in slot order.</param>
        /// <param name="g">Shape [*, rows], of the dtype and on the device of values.</param>
        /// <returns>Shape [*, cols].</returns>
        /// <exception cref="ArgumentException">An argument is null, or a shape, a dtype or a device is not as said.</exception>
        public static Tensor spmmT(Connectivity connectivity, Tensor values, Tensor g) =>
            SparseOps.SpmmT(connectivity, values, g);

        /// <summary>The product gᵀ · x at the pattern only: a sampled dense-dense product.</summary>
        /// <param name="connectivity">The pattern, shape [rows, cols].</param>
        /// <param name="g">Shape [*, rows].</param>
        /// <param name="x">Shape [*, cols], as many samples as g, of its dtype and on its device.</param>
        /// <returns>Shape [nnz], in slot order.</returns>
        /// <exception cref="ArgumentException">An argument is null, or a shape, a dtype or a device is not as said.</exception>
        public static Tensor sddmm(Connectivity connectivity, Tensor g, Tensor x) =>
            SparseOps.Sddmm(connectivity, g, x);

        /// <summary>W as a dense matrix: the values at the pattern, 0 elsewhere; not differentiable.</summary>
        /// <param name="connectivity">The pattern, shape [rows, cols].</param>
        /// <param name="values">Shape [nnz], in slot order.</param>
        /// <returns>A new tensor [rows, cols], of the dtype and on the device of values.</returns>
        /// <exception cref="ArgumentException">An argument is null, or values is not a floating [nnz] tensor.</exception>
        public static Tensor toDense(Connectivity connectivity, Tensor values) =>
            SparseOps.ToDense(connectivity, values);

        /// <summary>loss.backward(), whose exception says why where a backward of this library is what failed.</summary>
        /// <param name="loss">A scalar that has a gradient.</param>
        /// <exception cref="InvalidOperationException">A backward of this library failed: the inner exception is the
        /// original one, with its stack.</exception>
        /// <exception cref="ArgumentNullException">loss is null.</exception>
        public static void backward(Tensor loss) => SparseOps.Backward(loss);
    }
}
