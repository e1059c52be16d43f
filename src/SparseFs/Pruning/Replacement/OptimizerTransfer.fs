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

/// <summary>Parameters whose successors an optimizer keeps beside them, until the ones or the others go.</summary>
[<Sealed>]
type internal OptimizerSuccession
    (optimizer: OptimizerStates, lists: struct (ParamGroup * Parameter[])[], successors: Successor[]) =

    /// The successors are the optimizer's.
    member _.Commit() : unit =
        for struct (group, parameters) in lists do
            group.Parameters <- parameters

        for s in successors do
            optimizer.Forget s.Old

    /// Everything is as it was before.
    member _.Undo() : unit =
        for s in successors do
            optimizer.Forget s.New

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

    let byName (what: string) (name: string) (nameOf: 'a -> string) (items: 'a list) : 'a =
        match items |> List.tryFind (fun item -> nameOf item = name) with
        | Some item -> item
        | None ->
            let message =
                $"expected {optimizer.Optimizer.GetType().Name} to keep the {what} '{name}' for a new parameter too, got none"

            raise (InvalidOperationException message)

    /// What is kept for a parameter, as what the one that takes its place begins with.
    let carry (s: Successor) (old: ParameterState) : unit =
        let state = optimizer.Begin s.New

        for number in old.Numbers do
            (state.Numbers |> byName "number" number.Name _.Name).Become number.Value

        for tensor in old.Tensors do
            let carried: torch.Tensor | null =
                match tensor.For s.Old, s.Cells with
                | null, _ -> null
                | numbers, null -> numbers.detach().clone().DetachFromDisposeScope()
                | numbers, cells ->
                    let numbers = numbers.detach().reshape(-1L)
                    numbers.index_select(0L, cells.``to`` numbers.device).DetachFromDisposeScope()

            (state.Tensors |> byName "tensor" tensor.Name _.Name).Give carried

    do
        for struct (_, parameters) in groups do
            for p in parameters do
                try
                    optimizer.StateOf p |> ignore
                with :? InvalidOperationException when optimizer.KnowsAges ->
                    let message =
                        $"expected an optimizer of the model's parameters, got one that has no state of one of shape "
                        + $"{Shape.text p.shape}: it was made before the model was changed"

                    raise (ArgumentException(message, nameof optimizer))

    /// <summary>Begins to keep what the successors need: all that can fail. Commit makes them the optimizer's, Undo forgets
    /// them. Parameters that are none of the optimizer's are left out.</summary>
    member _.Prepare(successors: Successor[]) : OptimizerSuccession =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let byHandle = Dictionary<nativeint, Successor>()

        for s in successors do
            byHandle[s.Old.Handle] <- s

        let mine =
            [| for struct (_, parameters) in groups do
                   for p in parameters do
                       match byHandle.TryGetValue p.Handle with
                       | true, s -> struct (s, optimizer.StateOf p)
                       | _ -> () |]

        let succession =
            OptimizerSuccession(
                optimizer,
                [| for struct (group, parameters) in groups ->
                       let changed =
                           parameters
                           |> Array.map (fun p ->
                               match byHandle.TryGetValue p.Handle with
                               | true, s -> s.New
                               | _ -> p)

                       struct (group, changed) |],
                [| for struct (s, _) in mine -> s |]
            )

        try
            for struct (s, old) in mine do
                carry s old
        with _ ->
            succession.Undo()
            reraise ()

        succession
