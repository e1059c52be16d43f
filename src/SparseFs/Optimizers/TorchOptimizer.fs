namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.Reflection
open System.Threading
open SparseFs
open TorchSharp
open TorchSharp.Modules
open TorchSharp.Utils

/// <summary>An optimizer of TorchSharp's, as rewirers and checkpoints see it.</summary>
/// <remarks>TorchSharp's optimizers keep a parameter's state and its group's options in the same objects for good, so each is
/// looked for once.</remarks>
[<Sealed>]
type internal TorchOptimizer(optimizer: OptimizerHelper, known: KnownOptimizer) =
    /// Replaced as a whole, so that any number of threads may read.
    let mutable found = Dictionary<nativeint, ParameterState>()

    /// States that were made and are not the optimizer's yet, by their parameter's handle.
    let coming = Dictionary<nativeint, OptimizerState>()

    /// The dictionary that holds states is protected.
    let states () =
        let held =
            match typeof<OptimizerHelper>.GetField("_state", BindingFlags.Instance ||| BindingFlags.NonPublic) with
            | null -> null
            | field -> field.GetValue optimizer

        match held with
        | :? OrderedDict<nativeint, OptimizerState> as states -> states
        | _ ->
            let expected =
                "expected TorchSharp's optimizers to hold their states by handle in the field '_state'"

            raise (InvalidOperationException $"{expected}, as 0.107 does, got another field or none")

    let dispose (state: OptimizerState) =
        match box state with
        | :? IDisposable as gone -> gone.Dispose()
        | _ -> ()

    /// The parameters may be listed anew each time, and others meanwhile: they are taken from one listing.
    let find () =
        let states = states ()
        let next = Dictionary<nativeint, ParameterState>()

        for group in optimizer.ParamGroups do
            match group with
            | :? ParamGroup as group ->
                for p in group.Parameters do
                    if not (states.ContainsKey p.Handle) then
                        let message =
                            $"the {optimizer.GetType().Name} lists a parameter that it has no state of: the model was moved, "
                            + "converted or thawed after the optimizer was made, so that its next step fails; make the "
                            + "optimizer after it, or add a thawed weight with add_param_group"

                        raise (InvalidOperationException message)

                    next[p.Handle] <- known.StateOf p states[p.Handle] group.Options
            | _ -> ()

        Volatile.Write(&found, next)

    /// Whether its class is TorchSharp's own.
    member _.IsExact: bool = optimizer.GetType() = known.Type

    /// <exception cref="T:System.InvalidOperationException">The optimizer does not hold the parameter, or lists one that it has
    /// no state of.</exception>
    member _.StateOf(p: Parameter) : ParameterState =
        if not ((Volatile.Read &found).ContainsKey p.Handle) then
            find ()

        match (Volatile.Read &found).TryGetValue p.Handle with
        | true, state -> state
        | _ ->
            let message =
                "expected a weight of the optimizer, got one that it does not hold: the layer was moved or disposed of "
                + "since"

            raise (InvalidOperationException message)

    /// <summary>A state for a parameter that is to take another's place in a group.</summary>
    member _.Make(old: Parameter, p: Parameter, options: OptimizerOptions) : ParameterState =
        let sort = (states ()).[old.Handle].GetType()

        let state =
            match Activator.CreateInstance(sort, p) with
            | :? OptimizerState as state -> state
            | _ -> raise (InvalidOperationException $"expected {sort.Name} to be made of a parameter, got nothing")

        // Makes what is missing, such as Adamax's numbers that are no fields of the old state's.
        state.Initialize options
        coming[p.Handle] <- state
        known.StateOf p state options

    /// Lets go of a state that was made.
    member _.Discard(p: Parameter) : unit =
        match coming.TryGetValue p.Handle with
        | true, state ->
            dispose state
            coming.Remove p.Handle |> ignore
        | _ -> ()

    /// The state that was made for a parameter becomes the optimizer's, and the other's goes.
    member _.Adopt(old: Parameter, p: Parameter) : unit =
        let states = states ()

        dispose states[old.Handle]
        states.Remove old.Handle |> ignore
        states[p.Handle] <- coming[p.Handle]
        coming.Remove p.Handle |> ignore
        Volatile.Write(&found, Dictionary())

    interface IStatefulOptimizer with
        member _.Kind = KnownOptimizers.kindOf known optimizer

        member _.OptionsOf group =
            let group = Seq.item group optimizer.ParamGroups :?> ParamGroup
            known.OptionsOf group.Options :> IReadOnlyList<_>

        member this.StateOf p = this.StateOf p :> IParameterState

        member _.Forget p =
            Volatile.Write(&found, Dictionary())
            (states ()).Remove p.Handle |> ignore
