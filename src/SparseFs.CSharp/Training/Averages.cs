using System;
using TorchSharp;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

/// <summary>Averages of a model's weights over its training, which follow rewiring; see <see cref="Averaging"/>.</summary>
public static class Averages
{
    /// <summary>An exponential moving average (EMA).</summary>
    /// <param name="model">Any module with parameters.</param>
    /// <param name="decay">The weight of what was, in [0, 1).</param>
    /// <param name="averagesBuffers">Whether floating buffers are averaged too, rather than being the latest.</param>
    /// <exception cref="ArgumentException">The decay is outside [0, 1), the model has no parameters, or it is null.</exception>
    public static Averaging Exponential(nn.Module model, double decay = 0.999, bool averagesBuffers = false) =>
        new(model, AveragingRuleModule.Check(AveragingRule.NewExponential(decay)), averagesBuffers);

    /// <summary>A plain mean: stochastic weight averaging (SWA).</summary>
    /// <param name="model">Any module with parameters.</param>
    /// <param name="averagesBuffers">Whether floating buffers are averaged too, rather than being the latest.</param>
    /// <exception cref="ArgumentException">The model has no parameters, or it is null.</exception>
    public static Averaging Mean(nn.Module model, bool averagesBuffers = false) =>
        new(model, AveragingRule.Mean, averagesBuffers);

    /// <summary>Writes the averages as a model of their own, with what <see cref="Resume"/> needs beside them.</summary>
    /// <param name="averaging">The averages.</param>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <exception cref="CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public static void Save(Averaging averaging, string path) => AveragingFile.Save(path, averaging);

    /// <summary>Puts averages back that <see cref="Save"/> wrote; resume the model first.</summary>
    /// <param name="averaging">Made with the same rule over the same model.</param>
    /// <param name="path">The file.</param>
    /// <exception cref="CheckpointException">The file cannot be read or is not sound, or belongs to another rule, model or
    /// pattern; the averages are as they were.</exception>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public static void Resume(Averaging averaging, string path) => AveragingFile.Resume(path, averaging);
}
