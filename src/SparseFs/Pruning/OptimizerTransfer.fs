namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A parameter that takes the place of another, and the cells of the other that its numbers come from: row-major
/// places, shape [nnz], or null for all of them.</summary>
type internal Successor =
    { Old: Parameter
      New: Parameter
      Cells: torch.Tensor | null }

/// <summary>Carrying an optimizer over to parameters that take the place of others.</summary>
/// <remarks>
/// TorchSharp's optimizers list parameters anew at each step, from whatever the caller gave them, and keep the state of
/// each under its handle: after a layer was replaced they list its new weight and have no state of it. Groups therefore get
/// fixed lists.
/// </remarks>
[<Sealed>]
type internal OptimizerTransfer(optimizer: OptimizerStates) =

    /// Each group and its parameters, as they are before anything is replaced.
    let groups = optimizer.Groups

    /// What is kept for a parameter, as what the one that takes its place begins with.
    let carry (s: Successor) (options: OptimizerOptions) (old: ParameterState) : unit =
        let state = optimizer.Make(s.Old, s.New, options)

        for before, after in Seq.zip old.Numbers state.Numbers do
            after.Become before.Value

        for before, after in Seq.zip old.Tensors state.Tensors do
            match before.Value with
            | null -> after.Give null
            | numbers ->
                let carried =
                    match s.Cells with
                    | null -> numbers.detach().clone()
                    | cells -> numbers.detach().reshape(-1L).index_select(0L, cells.``to`` numbers.device)

                after.Give(carried.DetachFromDisposeScope())

    do
        for struct (_, parameters) in groups do
            for p in parameters do
                try
                    optimizer.StateOf p |> ignore
                with :? InvalidOperationException ->
                    let message =
                        $"expected an optimizer of the model's parameters, got one that has no state of one of shape "
                        + $"{Shape.text p.shape}: it was made before the model was changed"

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
            [| for struct (group, parameters) in groups do
                   for p in parameters do
                       match byHandle.TryGetValue p.Handle with
                       | true, s -> struct (s, group.Options, optimizer.StateOf p)
                       | _ -> () |]

        try
            for struct (s, options, old) in made do
                carry s options old
        with _ ->
            for struct (s, _, _) in made do
                optimizer.Discard s.New

            reraise ()

        let lists =
            [| for struct (group, parameters) in groups ->
                   let changed =
                       parameters
                       |> Array.map (fun p ->
                           match byHandle.TryGetValue p.Handle with
                           | true, s -> s.New
                           | _ -> p)

                   struct (group, changed) |]

        fun () ->
            for struct (group, parameters) in lists do
                group.Parameters <- parameters

            for struct (s, _, _) in made do
                optimizer.Adopt(s.Old, s.New)
