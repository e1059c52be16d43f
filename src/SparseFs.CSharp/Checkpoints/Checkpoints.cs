using System;
using System.Collections.Generic;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using TorchSharp;
using static TorchSharp.torch;

namespace SparseFs.CSharp;

/// <summary>Models, and whole training runs, in one safetensors file: nothing lost, nothing trusted.</summary>
/// <remarks>A save is whole or has not been. A load checks everything before it changes anything: whatever is wrong is a
/// <c>CheckpointException</c>, and the model is as it was.</remarks>
public static class Checkpoints
{
    private static readonly Dictionary<string, string> noNotes = [];

    /// <summary>Writes a model: every parameter and every persistent buffer by its name in state_dict, and the pattern of
    /// every sparse layer.</summary>
    /// <param name="model">Any module.</param>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="layout">How patterns are written.</param>
    /// <param name="notes">Texts of the caller's; names that begin with <c>sparsefs.</c> and <c>format</c> are taken.</param>
    /// <exception cref="CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="ArgumentException">An argument is null, a name is taken, or a tensor is complex.</exception>
    public static void Save(
        nn.Module model,
        string path,
        PatternLayout layout = PatternLayout.Csr,
        IReadOnlyDictionary<string, string>? notes = null) =>
        Checkpoint.SaveWith(layout, notes ?? noNotes, path, Require.NotNull(model));

    /// <summary>Writes a model, with texts beside it: <c>Checkpoints.Save(model, path, ("trained on", "MNIST"))</c>.</summary>
    /// <param name="model">Any module.</param>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="notes">Names and texts, each name once; those that begin with <c>sparsefs.</c> and <c>format</c> are
    /// taken.</param>
    /// <exception cref="CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="ArgumentException">An argument is null, a name is taken or there twice, or a tensor is
    /// complex.</exception>
    public static void Save(nn.Module model, string path, params (string Name, string Text)[] notes) =>
        Checkpoint.SaveWith(PatternLayout.Csr, ToDictionary(notes), path, Require.NotNull(model));

    /// <summary>Loads a model. A sparse layer takes over the file's pattern, also where it has another number of slots; its
    /// parameter stays the same object.</summary>
    /// <param name="model">A module with the sizes of the one that was saved.</param>
    /// <param name="path">The file.</param>
    /// <param name="form">How the file holds the weights of sparse layers.</param>
    /// <param name="sparsity">For <c>StoredForm.Magnitude</c>: the part of the weights that do not exist, in [0, 1).</param>
    /// <param name="strict">Whether the file must have exactly the model's names.</param>
    /// <param name="convert">Whether floats of another width are converted to the model's dtype, instead of refused.</param>
    /// <param name="prefixes">What names of the file lose at their start, each as often as it stands there: "module."
    /// (DataParallel), "_orig_mod." (torch.compile; this one is taken out of the middle of names too); null for none.</param>
    /// <returns>What was passed over; nothing where the load is strict.</returns>
    /// <exception cref="CheckpointException">The file cannot be read or is not sound, or names, shapes or dtypes do not fit,
    /// all of which the message lists; the model is as it was.</exception>
    /// <exception cref="ArgumentException">An argument is null, the sparsity is outside [0, 1), or a prefix does not end in a
    /// dot.</exception>
    public static LoadReport Load(
        nn.Module model,
        string path,
        StoredForm form = StoredForm.SparseFs,
        double sparsity = 0.9,
        bool strict = true,
        bool convert = false,
        IReadOnlyList<string>? prefixes = null) =>
        Checkpoint.LoadWith(
            new LoadOptions(ToCore(form, sparsity), strict, convert, ListModule.OfSeq(prefixes ?? [])),
            path,
            Require.NotNull(model));

    /// <summary>A layer from a file that says how large it is: one that <c>Save</c> wrote, or a dense weight.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">The layer's name in the file, without the last dot; empty where names have no prefix.</param>
    /// <param name="form">How the file holds its weights; SparseLinear's own form says no sizes.</param>
    /// <param name="sparsity">For <c>StoredForm.Magnitude</c>: the part of the weights that do not exist, in [0, 1).</param>
    /// <returns>A layer on the CPU in the file's dtype, that trains; with a bias if the file has one.</returns>
    /// <exception cref="CheckpointException">The file cannot be read or is not sound, holds no such layer, or does not say
    /// its sizes.</exception>
    /// <exception cref="ArgumentException">An argument is null, or the sparsity is outside [0, 1).</exception>
    public static SparseLinear SparseLayer(
        string path,
        string name,
        StoredForm form = StoredForm.SparseFs,
        double sparsity = 0.9) =>
        Checkpoint.SparseLayer(ToCore(form, sparsity), path, Require.NotNull(name));

    /// <summary>A layer from a file, of sizes that are given.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">The layer's name in the file, without the last dot; empty where names have no prefix.</param>
    /// <param name="inFeatures">Size of each input sample, 0..2^31 − 1.</param>
    /// <param name="outFeatures">Size of each output sample, 0..2^31 − 1.</param>
    /// <param name="form">How the file holds its weights.</param>
    /// <param name="sparsity">For <c>StoredForm.Magnitude</c>: the part of the weights that do not exist, in [0, 1).</param>
    /// <returns>A layer on the CPU in the file's dtype, that trains; with a bias if the file has one.</returns>
    /// <exception cref="CheckpointException">The file cannot be read or is not sound, or holds no such layer.</exception>
    /// <exception cref="ArgumentException">An argument is null or outside its range.</exception>
    public static SparseLinear SparseLayer(
        string path,
        string name,
        long inFeatures,
        long outFeatures,
        StoredForm form = StoredForm.SparseLinear,
        double sparsity = 0.9) =>
        Checkpoint.SparseLayerOf(
            Require.Size(inFeatures),
            Require.Size(outFeatures),
            ToCore(form, sparsity),
            path,
            Require.NotNull(name));

    /// <summary>Writes all that a training run needs to go on as if it had never stopped: model, optimizer, rewirer, and the
    /// state of torch's random numbers on the CPU.</summary>
    /// <param name="model">Any module.</param>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="optimizer">Any of TorchSharp's but LBFGS, or one that implements
    /// <see cref="IStatefulOptimizer"/>, of parameters of the model.</param>
    /// <param name="rewirer">The one that rewires layers of the model; null if there is none.</param>
    /// <param name="step">The caller's count of steps, 0 or more.</param>
    /// <param name="seed">What the caller draws batches from, or whatever else.</param>
    /// <param name="notes">Texts of the caller's.</param>
    /// <exception cref="CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="ArgumentException">An argument is null, the optimizer is of another kind, it or the rewirer holds
    /// what is not the model's, or the step is negative.</exception>
    /// <remarks>Call between a step and the next zero_grad: gradients are not kept.</remarks>
    public static void SaveTraining(
        nn.Module model,
        string path,
        optim.Optimizer optimizer,
        Rewirer? rewirer = null,
        long step = 0,
        Seed seed = default,
        IReadOnlyDictionary<string, string>? notes = null) =>
        Checkpoint.SaveTraining(
            new TrainingProgress(
                step >= 0
                    ? step
                    : throw new ArgumentOutOfRangeException(nameof(step), step, $"expected 0 steps or more, got {step}"),
                seed,
                notes ?? noNotes),
            path,
            Require.NotNull(model),
            Require.NotNull(optimizer),
            OrNone(rewirer));

    /// <summary>Writes a training run, with texts beside it.</summary>
    /// <param name="model">Any module.</param>
    /// <param name="path">The file, replaced if it exists; its folder must exist.</param>
    /// <param name="optimizer">As without texts.</param>
    /// <param name="rewirer">The one that rewires layers of the model; null if there is none.</param>
    /// <param name="step">The caller's count of steps, 0 or more.</param>
    /// <param name="seed">What the caller draws batches from, or whatever else.</param>
    /// <param name="notes">Names and texts, each name once.</param>
    /// <exception cref="CheckpointException">The file could not be written; it is what it was.</exception>
    /// <exception cref="ArgumentException">As without texts, or a name is there twice.</exception>
    public static void SaveTraining(
        nn.Module model,
        string path,
        optim.Optimizer optimizer,
        Rewirer? rewirer,
        long step,
        Seed seed,
        params (string Name, string Text)[] notes) =>
        SaveTraining(model, path, optimizer, rewirer, step, seed, ToDictionary(notes));

    /// <summary>Puts a training run back: the run then goes on to the bit as the one that was saved did.</summary>
    /// <param name="model">Made as it was made at the start of the run; its layers take over the file's patterns.</param>
    /// <param name="path">A file that <c>SaveTraining</c> wrote.</param>
    /// <param name="optimizer">Made over the same parameters; options such as the learning rate become the file's.</param>
    /// <param name="rewirer">Made with the same policy over the same layers; null if there was none.</param>
    /// <returns>The caller's step, seed and texts.</returns>
    /// <exception cref="CheckpointException">The file cannot be read or is not sound, or was saved from another model,
    /// optimizer, policy or layers: the message says what differs; everything is as it was.</exception>
    /// <exception cref="ArgumentException">An argument is null, or one is not of the kinds that <c>SaveTraining</c>
    /// takes.</exception>
    public static TrainingProgress Resume(
        nn.Module model,
        string path,
        optim.Optimizer optimizer,
        Rewirer? rewirer = null) =>
        Checkpoint.Resume(path, Require.NotNull(model), Require.NotNull(optimizer), OrNone(rewirer));

    /// <summary>Makes a scheduler of the learning rate anew, where a run stands: it then sets the rates, momenta and betas that
    /// it would have set in the run that went through, to the bit.</summary>
    /// <param name="optimizer">The one that <c>Resume</c> puts back; its options stay as they are.</param>
    /// <param name="make">Makes the scheduler over that optimizer, as at the start of the run, with all that it consists
    /// of.</param>
    /// <param name="steps">How often the run has called the scheduler's step, 0 or more.</param>
    /// <returns>The scheduler.</returns>
    /// <exception cref="ArgumentException">An argument is null, the steps are fewer than 0 or more than 2^31 − 1, or the
    /// scheduler is ReduceLROnPlateau, which is resumed with its metrics.</exception>
    /// <remarks>The call may come before or after <c>Resume</c>.</remarks>
    public static optim.lr_scheduler.LRScheduler ResumeScheduler(
        optim.Optimizer optimizer,
        Func<optim.lr_scheduler.LRScheduler> make,
        long steps) =>
        Checkpoint.ResumeScheduler(steps, optimizer, FuncConvert.FromFunc(Require.NotNull(make)));

    /// <summary>As with a number of steps, for a scheduler that follows a metric: ReduceLROnPlateau.</summary>
    /// <param name="optimizer">The one that <c>Resume</c> puts back; its options stay as they are.</param>
    /// <param name="make">Makes the scheduler over that optimizer, as at the start of the run.</param>
    /// <param name="metrics">What the run has given to the scheduler's step, in its order.</param>
    /// <returns>The scheduler.</returns>
    /// <exception cref="ArgumentException">An argument is null.</exception>
    public static optim.lr_scheduler.LRScheduler ResumeScheduler(
        optim.Optimizer optimizer,
        Func<optim.lr_scheduler.LRScheduler> make,
        IEnumerable<double> metrics) =>
        Checkpoint.ResumeSchedulerOn(metrics, optimizer, FuncConvert.FromFunc(Require.NotNull(make)));

    private static Dictionary<string, string> ToDictionary((string Name, string Text)[] notes)
    {
        Dictionary<string, string> texts = [];

        foreach (var (name, text) in Require.NotNull(notes))
        {
            if (!texts.TryAdd(name ?? throw new ArgumentNullException(nameof(notes), "expected a name, got null"), text))
            {
                throw new ArgumentException($"expected each name once, got '{name}' twice", nameof(notes));
            }
        }

        return texts;
    }

    private static FSharpValueOption<Rewirer> OrNone(Rewirer? rewirer) =>
        rewirer is null ? FSharpValueOption<Rewirer>.None : FSharpValueOption<Rewirer>.Some(rewirer);

    private static WeightForm ToCore(StoredForm form, double sparsity) =>
        form switch
        {
            StoredForm.SparseFs => WeightForm.SparseFs,
            StoredForm.SparseLinear => WeightForm.SparseLinear,
            StoredForm.Masked => WeightForm.Masked,
            StoredForm.Zeros => WeightForm.Zeros,
            StoredForm.Magnitude => WeightForm.NewMagnitude(sparsity),
            _ => throw new ArgumentException($"expected a form, got {form}", nameof(form)),
        };
}
