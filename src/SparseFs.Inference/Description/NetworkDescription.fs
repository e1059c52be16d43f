namespace SparseFs.Inference

open System

/// <summary>The shape of a value of a network, without the batch.</summary>
[<NoComparison>]
type internal ValueShape =
    {
        Sizes: int[]
        /// Whether there is a dimension of tokens before these, of any size.
        HasTokens: bool
    }

    /// Of a sample, or of one of its tokens.
    member s.Numbers: int64 =
        s.Sizes |> Array.fold (fun product size -> product * int64 size) 1L

    /// The size of the last dimension, or 0.
    member s.Last: int =
        if s.Sizes.Length = 0 then
            0
        else
            s.Sizes[s.Sizes.Length - 1]

    /// For messages.
    member s.Text: string =
        let sizes = String.Join(", ", s.Sizes)

        match s.HasTokens, s.Sizes.Length with
        | true, 0 -> "[tokens]"
        | true, _ -> "[tokens, " + sizes + "]"
        | false, _ -> "[" + sizes + "]"

    /// The same with other sizes.
    member s.With(sizes: int[]) : ValueShape = { s with Sizes = sizes }

/// <summary>What the numbers of an input or output are.</summary>
type internal PortDtype =
    | Float32 = 0
    | Int32 = 1
    | Int64 = 2

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
        /// One number for each dimension of pixels.
        Sizes: struct (string * int[])[]
        /// A role, such as weight, and the tensor of the file that has it.
        Tensors: struct (string * string)[]
    }

    static member private Find (name: string) (all: struct (string * 'a)[]) : 'a voption =
        match all |> Array.tryFindIndex (fun (struct (own, _)) -> own = name) with
        | Some index ->
            let struct (_, found) = all[index]
            ValueSome found
        | None -> ValueNone

    member n.TryNumber(name: string) : float voption = NetworkNode.Find name n.Numbers

    member n.TrySizes(name: string) : int[] voption = NetworkNode.Find name n.Sizes

    member n.TryTensor(role: string) : string voption = NetworkNode.Find role n.Tensors

/// <summary>An input or output of a network.</summary>
[<NoComparison; NoEquality>]
type internal NetworkPort =
    {
        Name: string
        /// Of an output: the node or input that it is.
        Value: string
        Dtype: PortDtype
        Shape: ValueShape
        /// What the file calls the dimension of tokens; empty where there is none.
        TokensName: string
        /// Of an input: what training took off each number, and divided it by.
        Mean: float
        Deviation: float
        /// Of an output: names of the numbers of a sample or a token, or none.
        Labels: string[]
    }

    member p.Size: int64 = p.Shape.Numbers

    member p.IsTokens: bool = p.Dtype <> PortDtype.Float32

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
