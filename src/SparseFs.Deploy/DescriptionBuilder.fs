namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Inference
open TorchSharp

/// <summary>A value of a network under construction: what an operation gives.</summary>
[<Struct; NoComparison; NoEquality>]
type internal DescribedValue =
    {
        Name: string
        /// Dimensions of the tensor, with the batch.
        Rank: int
        /// Whether the first one behind the batch is of tokens, of any number.
        HasTokens: bool
    }

/// <summary>What an operation is described by, beside its inputs.</summary>
[<NoComparison; NoEquality>]
type internal Operation =
    {
        Operator: string
        Numbers: (string * float) list
        Sizes: (string * int[]) list
        /// Roles, and the names of tensors in the model's state.
        Tensors: (string * string) list
    }

    static member Named(operator': string) : Operation =
        { Operator = operator'
          Numbers = []
          Sizes = []
          Tensors = [] }

/// <summary>A network under construction: operations in an order in which they can be computed.</summary>
/// <param name="shapes">Of each module's input, as a sample has shown it.</param>
[<Sealed>]
type internal DescriptionBuilder(shapes: Lazy<Dictionary<torch.nn.Module, int64[]>>) =
    let nodes = List<NetworkNode>()
    let names = HashSet<string>([ "input" ])

    static member Refusal(message: string) : exn = ArgumentException(message, "model")

    /// The name of a module, for people and for its node.
    static member Label(place: string) : string = if place = "" then "model" else place

    /// The shape that a module has taken, if a sample went through it.
    member _.TryShape(m: torch.nn.Module) : int64[] voption =
        match shapes.Value.TryGetValue m with
        | true, shape -> ValueSome shape
        | _ -> ValueNone

    /// <summary>Adds an operation.</summary>
    /// <param name="name">Wanted of it: two places of a model may have one name.</param>
    /// <param name="inputs">What it takes.</param>
    /// <param name="operation">What it is.</param>
    /// <param name="rank">Dimensions of what it gives, with the batch.</param>
    /// <param name="hasTokens">Whether that has tokens.</param>
    member _.Add
        (name: string, inputs: DescribedValue list, operation: Operation, rank: int, hasTokens: bool)
        : DescribedValue =
        let wanted = DescriptionBuilder.Label name

        let label =
            Seq.append (Seq.singleton wanted) (Seq.initInfinite (fun i -> $"{wanted}#{i + 2}"))
            |> Seq.find names.Add

        nodes.Add
            { Name = label
              Operator = operation.Operator
              Inputs = [| for value in inputs -> value.Name |]
              Numbers = [| for name, value in operation.Numbers -> struct (name, value) |]
              Sizes = [| for name, sizes in operation.Sizes -> struct (name, sizes) |]
              Tensors = [| for role, tensor in operation.Tensors -> struct (role, tensor) |] }

        { Name = label
          Rank = rank
          HasTokens = hasTokens }

    /// An operation that keeps the shape.
    member b.Keep(name: string, x: DescribedValue, operation: Operation) : DescribedValue =
        b.Add(name, [ x ], operation, x.Rank, x.HasTokens)

    member _.Nodes: NetworkNode[] = nodes.ToArray()
