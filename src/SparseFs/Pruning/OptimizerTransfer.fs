namespace SparseFs.Torch

open System
open System.Collections.Generic
open System.Reflection
open SparseFs
open TorchSharp
open TorchSharp.Modules
open TorchSharp.Utils

/// <summary>A parameter that takes the place of another, and the cells of the other that its numbers come from: row-major
/// places, shape [nnz], or null for all of them.</summary>
type internal Successor =
    { Old: Parameter
      New: Parameter
      Cells: torch.Tensor }

/// <summary>Carrying an optimizer over to parameters that take the place of others.</summary>
/// <remarks>
/// TorchSharp's optimizers list parameters anew at each step, from whatever the caller gave them, and keep the state of
/// each under its handle: after a layer was replaced they list its new weight and have no state of it. Groups therefore get
/// fixed lists. States have public constructors and fields; the dictionary that holds them is protected.
/// </remarks>
[<Sealed>]
type internal OptimizerTransfer(optimizer: OptimizerHelper) =
    let states =
        typeof<OptimizerHelper>.GetField("_state", BindingFlags.Instance ||| BindingFlags.NonPublic).GetValue optimizer
        :?> OrderedDict<nativeint, OptimizerState>

    /// Each group and its parameters, as they are before anything is replaced.
    let groups: (ParamGroup * Parameter[])[] =
        [| for group in optimizer.ParamGroups do
               let group = group :?> ParamGroup
               group, Array.ofSeq group.Parameters |]

    let successorOf (old: OptimizerState) (options: OptimizerOptions) (s: Successor) : OptimizerState =
        let state = Activator.CreateInstance(old.GetType(), s.New) :?> OptimizerState
        // Makes what is missing, such as Adamax's numbers that are no fields of the old state's.
        state.Initialize options

        for field in old.GetType().GetFields(BindingFlags.Public ||| BindingFlags.Instance) do
            match field.GetValue old with
            | :? torch.Tensor as numbers ->
                let carried =
                    if isNull s.Cells then
                        numbers.detach().clone()
                    else
                        numbers.detach().reshape(-1L).index_select(0L, s.Cells.``to`` numbers.device)

                match field.GetValue state with
                | :? torch.Tensor as initial -> initial.Dispose()
                | _ -> ()

                field.SetValue(state, carried.DetachFromDisposeScope())
            | other -> field.SetValue(state, other) // a number, or a tensor that does not exist yet

        state

    do
        for _, parameters in groups do
            for p in parameters do
                if not (states.ContainsKey p.Handle) then
                    let message =
                        $"expected an optimizer of the model's parameters, got one that has no state of one of shape "
                        + $"[{String.Join(',', p.shape)}]: it was made before the model was changed"

                    raise (ArgumentException(message, nameof optimizer))

    /// <summary>What carries the optimizer over; all that can fail has been done before it runs. Parameters that are none of
    /// the optimizer's are left out.</summary>
    member _.Prepare(successors: Successor[]) : unit -> unit =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let byHandle = Dictionary<nativeint, Successor>()

        for s in successors do
            byHandle[s.Old.Handle] <- s

        let made =
            [| for group, parameters in groups do
                   for p in parameters do
                       match byHandle.TryGetValue p.Handle with
                       | true, s -> struct (p.Handle, s.New.Handle, successorOf states[p.Handle] group.Options s)
                       | _ -> () |]

        let lists =
            groups
            |> Array.map (fun (group, parameters) ->
                group,
                parameters
                |> Array.map (fun p ->
                    match byHandle.TryGetValue p.Handle with
                    | true, s -> s.New
                    | _ -> p))

        fun () ->
            for group, parameters in lists do
                group.Parameters <- parameters

            for struct (old, successor, state) in made do
                match box states[old] with
                | :? IDisposable as gone -> gone.Dispose()
                | _ -> ()

                states.Remove old |> ignore
                states[successor] <- state
