namespace SparseFs.Inference

/// <summary>One operation of a network, as a file describes it.</summary>
[<NoComparison; NoEquality>]
type internal NetworkNode =
    {
        /// Of its output too; no other node or input has it.
        Name: string
        Operator: string
        /// Names of inputs of the network, or of nodes that come before.
        Inputs: string[]
        Numbers: struct (string * float)[]
        /// A role, such as weight, and the tensor of the file that has it.
        Tensors: struct (string * string)[]
    }

    member n.TryNumber(name: string) : float voption =
        let index = n.Numbers |> Array.tryFindIndex (fun (struct (own, _)) -> own = name)

        match index with
        | Some index ->
            let struct (_, number) = n.Numbers[index]
            ValueSome number
        | None -> ValueNone

    member n.TryTensor(role: string) : string voption =
        let index = n.Tensors |> Array.tryFindIndex (fun (struct (own, _)) -> own = role)

        match index with
        | Some index ->
            let struct (_, tensor) = n.Tensors[index]
            ValueSome tensor
        | None -> ValueNone

/// <summary>An input or output of a network, of float32.</summary>
[<NoComparison; NoEquality>]
type internal NetworkPort =
    {
        Name: string
        /// Of an output: the node or input that it is.
        Value: string
        /// Of one sample.
        Shape: int[]
        /// Of an input: what training took off each number, and divided it by.
        Mean: float
        Deviation: float
        /// Of an output: names of its numbers, or none.
        Labels: string[]
    }

    member p.Size: int64 = p.Shape |> Array.fold (fun size n -> size * int64 n) 1L

/// <summary>A network: what a file's metadata say under <c>sparsefs.network</c>.</summary>
[<NoComparison; NoEquality>]
type internal NetworkDescription =
    {
        Inputs: NetworkPort[]
        Outputs: NetworkPort[]
        /// In an order in which they can be computed.
        Nodes: NetworkNode[]
    }

    /// The metadata's key.
    static member Key: string = "sparsefs.network"

    static member Version: int = 1
