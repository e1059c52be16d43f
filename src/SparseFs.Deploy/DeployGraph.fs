namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>What a module of one's own describes itself with: its forward, call by call.</summary>
/// <remarks>A module whose forward is <c>x.add (inner.call x)</c> describes itself by <c>graph.Add(x, graph.Call("inner", inner, x))</c>;
/// docs/inference.md has a whole one.</remarks>
[<Sealed>]
type DeployGraph
    internal
    (builder: DescriptionBuilder, place: string, walk: string -> torch.nn.Module -> DescribedValue -> DescribedValue) =

    let value (argument: string) (x: DeployValue) : DescribedValue =
        ArgumentNullException.ThrowIfNull(x, argument)
        x.Value

    let pathOf (name: string) =
        if place = "" then name else $"{place}.{name}"

    let keep (operation: Operation) (x: DescribedValue) : DeployValue =
        DeployValue(builder.Keep(pathOf operation.Operator, x, operation))

    let pair (operator': string) (x: DeployValue) (y: DeployValue) : DeployValue =
        let x, y = value (nameof x) x, value (nameof y) y
        DeployValue(builder.Add(pathOf operator', [ x; y ], Operation.Named operator', x.Rank, x.HasTokens))

    /// <summary>What a module inside this one makes of a value.</summary>
    /// <param name="name">The module's name in state_dict's names, under this one: the field's, "blocks.0" in a list.</param>
    /// <param name="m">Of a kind that can be deployed; of a recurrent one, its outputs.</param>
    /// <param name="x">What it takes.</param>
    /// <exception cref="T:System.ArgumentException">The module cannot be deployed.</exception>
    member _.Call(name: string, m: torch.nn.Module, x: DeployValue) : DeployValue =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        ArgumentNullException.ThrowIfNull(m, nameof m)
        DeployValue(walk (pathOf name) m (value (nameof x) x))

    /// <summary>x + y, of one shape.</summary>
    member _.Add(x: DeployValue, y: DeployValue) : DeployValue = pair "add" x y

    /// <summary>x · y number by number, of one shape.</summary>
    member _.Multiply(x: DeployValue, y: DeployValue) : DeployValue = pair "multiply" x y

    /// <summary>x and y beside each other in the last dimension.</summary>
    member _.Concat(x: DeployValue, y: DeployValue) : DeployValue = pair "concat" x y

    /// <summary>Neighbouring numbers of the last dimension.</summary>
    /// <param name="x">What they are taken of.</param>
    /// <param name="first">The first one.</param>
    /// <param name="count">How many.</param>
    member _.Part(x: DeployValue, first: int, count: int) : DeployValue =
        keep
            { Operation.Named "part" with
                Numbers = [ "first", float first; "count", float count ] }
            (value (nameof x) x)

    /// <summary>A function of each number: relu, gelu, gelu_tanh, silu, sigmoid or tanh.</summary>
    /// <param name="x">The numbers.</param>
    /// <param name="activation">Its name.</param>
    /// <exception cref="T:System.ArgumentException">The name is none of them.</exception>
    member _.Activate(x: DeployValue, activation: string) : DeployValue =
        if not (List.contains activation Inference.OperatorTable.plain) then
            let known = String.Join(", ", Inference.OperatorTable.plain)
            raise (ArgumentException($"expected one of {known}, got '{activation}'", nameof activation))

        keep (Operation.Named activation) (value (nameof x) x)

    /// <summary>softmax over the last dimension.</summary>
    member _.Softmax(x: DeployValue) : DeployValue =
        keep (Operation.Named "softmax") (value (nameof x) x)

    /// <summary>log_softmax over the last dimension.</summary>
    member _.LogSoftmax(x: DeployValue) : DeployValue =
        keep (Operation.Named "log_softmax") (value (nameof x) x)

    /// <summary>A sample's numbers in one dimension.</summary>
    member _.Flatten(x: DeployValue) : DeployValue =
        let x = value (nameof x) x
        DeployValue(builder.Add(pathOf "flatten", [ x ], Operation.Named "flatten", 2, x.HasTokens))

    /// <summary>Rows of tokens with the row of a table added that each one's place asks for: learnt positions.</summary>
    /// <param name="name">The table's name under this module.</param>
    /// <param name="positions">torch's embedding.</param>
    /// <param name="x">[batch, tokens, features].</param>
    member _.AddPositions(name: string, positions: Modules.Embedding, x: DeployValue) : DeployValue =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        ArgumentNullException.ThrowIfNull(positions, nameof positions)
        let path, table = pathOf name, TorchNulls.tableOf positions

        DeployValue(
            builder.Keep(
                path,
                value (nameof x) x,
                { Operation.Named "position_embedding" with
                    Numbers = [ "count", float table.shape[0]; "features", float table.shape[1] ]
                    Tensors = [ "weight", $"{path}.weight" ] }
            )
        )

    /// <summary>x / √(mean of squares + epsilon) · weight, over the last dimension: TorchSharp has no module for it.</summary>
    /// <param name="name">The name of the weight under this module.</param>
    /// <param name="weight">A parameter of this module, [features].</param>
    /// <param name="epsilon">0 or more.</param>
    /// <param name="x">[..., features].</param>
    member _.RmsNorm(name: string, weight: torch.Tensor, epsilon: float, x: DeployValue) : DeployValue =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        ArgumentNullException.ThrowIfNull(weight, nameof weight)

        keep
            { Operation.Named "rms_norm" with
                Numbers = [ "features", float (weight.numel ()); "epsilon", epsilon ]
                Tensors = [ "weight", pathOf name ] }
            (value (nameof x) x)

    member private _.OfTokens(operator': string, x: DeployValue) : DeployValue =
        let x = value (nameof x) x
        DeployValue(builder.Add(pathOf operator', [ x ], Operation.Named operator', x.Rank - 1, false))

    /// <summary>The last token of each sample: [batch, tokens, ...] as [batch, ...].</summary>
    member this.LastToken(x: DeployValue) : DeployValue = this.OfTokens("last_token", x)

    /// <summary>The mean of each sample's tokens: [batch, tokens, ...] as [batch, ...].</summary>
    member this.MeanOfTokens(x: DeployValue) : DeployValue = this.OfTokens("mean_of_tokens", x)

    override _.ToString() =
        $"DeployGraph({DescriptionBuilder.Label place})"
