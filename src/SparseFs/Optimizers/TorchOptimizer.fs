namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.Reflection
open SparseFs
open TorchSharp
open TorchSharp.Modules
open TorchSharp.Utils

/// <summary>An optimizer of TorchSharp's, as rewirers and checkpoints see it.</summary>
/// <remarks>TorchSharp's optimizers keep a parameter's state and its group's options in the same objects for good, so each is
/// looked for once.</remarks>
[<Sealed>]
type internal TorchOptimizer(optimizer: OptimizerHelper, known: KnownOptimizer) =
    let found = Dictionary<nativeint, ParameterState>()

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

    let find () =
        found.Clear()

        let dict =
            try
                optimizer.state_dict ()
            with :? KeyNotFoundException as e ->
                let message =
                    $"the {optimizer.GetType().Name} lists a parameter that it has no state of: the model was moved, "
                    + "converted or thawed after the optimizer was made, so that its next step fails; make the optimizer after "
                    + "it, or add a thawed weight with add_param_group"

                raise (InvalidOperationException(message, e))

        // The parameters may be listed anew each time.
        let parameters = Array.ofSeq (optimizer.parameters ())

        for group in 0 .. dict.StateIndexRef.Count - 1 do
            for place in dict.StateIndexRef[group] do
                let p = parameters[place]
                found[p.Handle] <- known.StateOf p dict.State[place] dict.Options[group]

    /// Whether its class is TorchSharp's own.
    member _.IsExact: bool = optimizer.GetType() = known.Type

    /// <exception cref="T:System.InvalidOperationException">The optimizer does not hold the parameter, or lists one that it has
    /// no state of.</exception>
    member _.StateOf(p: Parameter) : ParameterState =
        if not (found.ContainsKey p.Handle) then
            find ()

        match found.TryGetValue p.Handle with
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
        found.Clear()

    interface IStatefulOptimizer with
        member _.Kind = KnownOptimizers.kindOf known optimizer

        member _.OptionsOf group =
            let group = Seq.item group optimizer.ParamGroups :?> ParamGroup
            known.OptionsOf group.Options :> IReadOnlyList<_>

        member this.StateOf p = this.StateOf p :> IParameterState

        member _.Forget p =
            found.Remove p.Handle |> ignore
            (states ()).Remove p.Handle |> ignore
