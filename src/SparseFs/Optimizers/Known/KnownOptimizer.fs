namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp.Modules

/// <summary>One of TorchSharp's optimizers: its options, and what it keeps for a parameter.</summary>
type internal KnownOptimizer =
    {
        Type: Type
        StateType: Type
        /// Its name in files.
        Kind: string
        OptionsOf: OptimizerOptions -> OptimizerField list
        StateOf: Parameter -> OptimizerState -> OptimizerOptions -> ParameterState
    }

module internal KnownOptimizer =

    /// <summary>One whose state and options are of TorchSharp's types for it.</summary>
    /// <param name="kind">Its name in files.</param>
    /// <param name="options">Fields of a group's options, in the order of files, beside the learning rates.</param>
    /// <param name="state">What is kept for a parameter; it reads the state and the options each time.</param>
    let define<'Optimizer, 'State, 'Options when 'State :> OptimizerState and 'Options :> OptimizerOptions>
        (kind: string)
        (options: 'Options -> OptimizerField list)
        (state: Parameter -> 'State -> 'Options -> ParameterState)
        : KnownOptimizer =
        { Type = typeof<'Optimizer>
          StateType = typeof<'State>
          Kind = kind
          OptionsOf = fun o -> options (o :?> 'Options)
          StateOf = fun p s o -> state p (s :?> 'State) (o :?> 'Options) }
