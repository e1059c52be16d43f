using System;
using System.Collections.Generic;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

/// <summary>How initial weights and learning rates follow from the width of a model and the density of its layers; see <see cref="Scaling"/>.</summary>
public static class Scalings
{
    /// <summary>SμPar, the sparse maximal update parameterization, for AdamW: draws the weights of a model anew, and gives the parameter groups of
    /// an optimizer. Dey, Bergsma and Hestness, NeurIPS 2024, arXiv 2405.15743, table 1.</summary>
    /// <param name="model">A model whose layers' widths grow together.</param>
    /// <param name="widthRatio">Its width, in parts of the width at which lr and std were found; above 0.</param>
    /// <param name="lr">Learning rate, found at width ratio 1 and density 1 (or baseDensity).</param>
    /// <param name="std">Standard deviation of initial weights, found there too.</param>
    /// <param name="baseDensity">The density at which these were found, in (0, 1].</param>
    /// <param name="weightDecay">Decay at width ratio 1, of weights alone.</param>
    /// <param name="inputs">Layers whose inputs do not grow with the width, beside embeddings; null for none.</param>
    /// <param name="outputs">Layers whose outputs do not grow: heads; null for none.</param>
    /// <param name="residuals">Layers whose outputs are added to a residual stream, beside those of transformers' blocks; null for none.</param>
    /// <returns>Groups for <see cref="sparseoptim.AdamW(IEnumerable{AdamW.ParamGroup}, double, double?)"/>.</returns>
    /// <exception cref="ArgumentException">The model is null or has a matrix of a layer that is not known, or a number is outside its range.</exception>
    public static AdamW.ParamGroup[] SuPar(
        nn.Module model,
        double widthRatio,
        double lr,
        double std = 0.02,
        double baseDensity = 1.0,
        double weightDecay = 0.0,
        IEnumerable<nn.Module>? inputs = null,
        IEnumerable<nn.Module>? outputs = null,
        IEnumerable<nn.Module>? residuals = null) =>
        Scaling.suPar(model, widthRatio, lr, std, baseDensity, weightDecay, inputs, outputs, residuals);
}
