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

    member private _.TryFind(p: Parameter) : ParameterState voption =
        if not ((Volatile.Read &found).ContainsKey p.Handle) then
            find ()

        match (Volatile.Read &found).TryGetValue p.Handle with
        | true, state -> ValueSome state
        | _ -> ValueNone

    /// <exception cref="T:System.InvalidOperationException">The optimizer does not hold the parameter, or lists one that it has
    /// no state of.</exception>
    member this.StateOf(p: Parameter) : ParameterState =
        match this.TryFind p with
        | ValueSome state -> state
        | ValueNone ->
            let message =
                "expected a weight of the optimizer, got one that it does not hold: the layer was moved or disposed of "
                + "since"

            raise (InvalidOperationException message)

    /// What is kept for a parameter that no group lists yet; it begins where there is nothing. Its group is not known: the
    /// first one's options say what a new state begins with.
    member private _.StateOfComing(p: Parameter) : ParameterState =
        let states = states ()

        let options =
            match Seq.head optimizer.ParamGroups with
            | :? ParamGroup as group -> group.Options
            | group -> raise (InvalidOperationException $"expected a ParamGroup, got a {group.GetType().Name}")

        if not (states.ContainsKey p.Handle) then
            match Activator.CreateInstance(known.StateType, p) with
            | :? OptimizerState as state ->
                state.Initialize options
                states[p.Handle] <- state
            | _ ->
                let expected = $"expected {known.StateType.Name} to be made of a parameter"
                raise (InvalidOperationException $"{expected}, got nothing")

        known.StateOf p states[p.Handle] options

    interface IStatefulOptimizer with
        member _.Kind = KnownOptimizers.kindOf known optimizer

        member _.OptionsOf group =
            let group = Seq.item group optimizer.ParamGroups :?> ParamGroup
            known.OptionsOf group.Options :> IReadOnlyList<_>

        member this.StateOf p =
            match this.TryFind p with
            | ValueSome state -> state
            | ValueNone -> this.StateOfComing p

        member _.Forget p =
            let states = states ()

            if states.ContainsKey p.Handle then
                match box states[p.Handle] with
                | :? IDisposable as gone -> gone.Dispose()
                | _ -> ()

                states.Remove p.Handle |> ignore
                Volatile.Write(&found, Dictionary())
