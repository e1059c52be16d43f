namespace SparseFs.Torch

open System
open System.Runtime.CompilerServices
open System.Threading
open TorchSharp

/// <summary>Gate by which a run's update and its save, on another thread, wait for each other: one an optimizer, whose
/// moments an update exchanges.</summary>
/// <remarks>Gates are held weakly: one object an optimizer, gone with it.</remarks>
module internal RunGate =

    let private gates = ConditionalWeakTable<torch.optim.Optimizer, obj>()

    let ofOptimizer (optimizer: torch.optim.Optimizer) : obj =
        gates.GetValue(optimizer, (fun _ -> obj ()))

    /// The gate is this thread's until the result is disposed of, once or more often.
    let enter (optimizer: torch.optim.Optimizer) : IDisposable =
        let gate = ofOptimizer optimizer
        let mine = ref true
        Monitor.Enter gate

        { new IDisposable with
            member _.Dispose() =
                if mine.Value then
                    mine.Value <- false
                    Monitor.Exit gate }
