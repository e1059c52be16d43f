using System;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

/// <summary>Tables of what a model consists of: layers, shapes, weights, parameters, bytes and operations.</summary>
public static class Summaries
{
    /// <summary>The model's modules and sizes; shapes and operations need an input.</summary>
    /// <param name="model">Any module; it is only read.</param>
    /// <returns>The rows and their sums; as text, a table.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
    /// <example><code>Console.WriteLine(model.Summary());</code></example>
    public static ModelSummary Summary(this nn.Module model) => SparseFs.Summary.OfModel(model);

    /// <summary>The model's modules and sizes, with the shapes and operations of one pass over an input.</summary>
    /// <param name="model">Runs once in evaluation mode without gradients; its modes, its buffers and torch's generator are
    /// then as before. No other thread may use it meanwhile.</param>
    /// <param name="input">What the model takes, such as one batch.</param>
    /// <returns>The rows and their sums; as text, a table.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentException">The model does not take the input.</exception>
    /// <example><code>Console.WriteLine(model.Summary(batch));</code></example>
    public static ModelSummary Summary(this nn.Module<Tensor, Tensor> model, Tensor input) =>
        SparseFs.Summary.OfInput(input, model);

    /// <summary>As above, over zeros of a shape, of the model's own dtype and on its device.</summary>
    /// <param name="model">As above.</param>
    /// <param name="shape">The input's shape, the batch first.</param>
    /// <returns>The rows and their sums; as text, a table.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentException">The model does not take inputs of this shape.</exception>
    /// <example><code>Console.WriteLine(model.Summary(64, 784));</code></example>
    public static ModelSummary Summary(this nn.Module<Tensor, Tensor> model, params long[] shape) =>
        SparseFs.Summary.OfShape(shape, model);
}
