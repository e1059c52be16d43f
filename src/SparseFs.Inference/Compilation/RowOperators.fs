namespace SparseFs.Inference

open System
open SparseFs
open SparseFs.Kernels

/// <summary>Operators over numbers, and over rows of the last dimension.</summary>
[<RequireQualifiedAccess>]
module internal RowOperators =

    /// Units for each winner from which a product of one sample walks the winners alone. An estimate: over the winners it takes a half to a quarter of
    /// Spmm's time between 90 and 95 % of zeros, and packed weights take about 0.4 of it (docs/performance.md).
    [<Literal>]
    let private FewWinners = 16

    let private ofLast (l: Lowering) (node: NetworkNode) (name: string) (value: Value) : int =
        let expected = l.Size(node, name)

        if value.Shape.Last <> expected then
            l.Refuse(node, invariant $"expected {expected} numbers in the last dimension, got {value.Shape.Text}")

        expected

    let product (l: Lowering) (node: NetworkNode) : unit =
        let inputs, outputs = l.Size(node, "in_features"), l.Size(node, "out_features")
        let struct (value, release) = l.Input(node, 0)
        ofLast l node "in_features" value |> ignore

        let product =
            l.Product(node, "", [| int64 outputs; int64 inputs |], outputs, inputs, "bias")

        let sizes = Array.copy value.Shape.Sizes
        sizes[sizes.Length - 1] <- outputs
        let into = l.Room(node, value.Shape.With sizes)
        release ()
        let isSparse = l.IsSparse node.Inputs[0]
        l.Add(ProductStep(product, value.Buffer, into, value.RowCount.Rows, value.Shape.HasTokens, isSparse))

        // A batch norm has the channels of a product only where its rows are samples.
        if sizes.Length = 1 then
            l.Products[node.Name] <- product

    /// Whether a node is the only one that takes its input.
    let private isAlone (l: Lowering) (node: NetworkNode) : bool =
        let source = node.Inputs[0]
        // Of all, not of those that are still to come: a product that another operation has taken stays as it is.
        let takers =
            l.Network.Nodes |> Array.filter (fun n -> Array.contains source n.Inputs)

        takers.Length = 1
        && not (l.Network.Outputs |> Array.exists (fun p -> p.Value = source))

    let batchNorm (l: Lowering) (node: NetworkNode) : unit =
        let features = l.Size(node, "features")

        let of' role =
            l.Tensor(node, role, [| int64 features |])

        let mean, variance = of' "running_mean", of' "running_var"
        let weight, bias = of' "weight", of' "bias"
        let epsilon = l.Epsilon node

        if variance |> Array.exists (fun v -> not (float v + epsilon > 0.0)) then
            l.Refuse(node, "expected a variance and an epsilon whose sum is above 0")

        let factors =
            Array.init features (fun i ->
                float32 (
                    (if weight.Length = 0 then 1.0 else float weight[i])
                    / sqrt (float variance[i] + epsilon)
                ))

        let shifts =
            Array.init features (fun i -> (if bias.Length = 0 then 0.0f else bias[i]) - mean[i] * factors[i])

        let value = l.InPlace(node, 0)
        let sizes = value.Shape.Sizes

        if value.Shape.HasTokens || sizes.Length = 0 || sizes[0] <> features then
            l.Refuse(node, invariant $"expected {features} channels of a sample, got {value.Shape.Text}")

        match l.Products.TryGetValue node.Inputs[0] with
        | true, product when product.Outputs = features && isAlone l node -> product.Fold(factors, shifts)
        | _ ->
            let pixels = int (value.Shape.Numbers / int64 features)

            if pixels = 1 then
                // A sample is one row, also where it has dimensions of one pixel.
                let rows = { Rows = 1; HasTokens = false }
                l.Add(RowStep(value.Buffer, rows, features, "affine", 0.0, factors, shifts))
            else
                l.Add(ChannelStep(value.Buffer, features, pixels, factors, shifts))

        l.Give(node, value.Shape, value.Buffer)

    let byRows (l: Lowering) (node: NetworkNode) : unit =
        let value = l.InPlace(node, 0)
        let features = value.Shape.Last

        if features = 0 then
            l.Refuse(node, "expected a dimension of features, got single numbers")

        let epsilon =
            match node.Operator with
            | "layer_norm"
            | "rms_norm" ->
                ofLast l node "features" value |> ignore
                l.Epsilon node
            | _ -> 0.0

        let of' role =
            l.Tensor(node, role, [| int64 features |])

        l.Add(RowStep(value.Buffer, value.RowCount, features, node.Operator, epsilon, of' "weight", of' "bias"))
        l.Give(node, value.Shape, value.Buffer)

    let flatten (l: Lowering) (node: NetworkNode) : unit =
        let value = l.InPlace(node, 0)

        if value.Shape.HasTokens then
            l.Refuse(node, invariant $"expected a sample of a known size, got {value.Shape.Text}")

        l.Give(node, value.Shape.With [| int value.Shape.Numbers |], value.Buffer)

    let reshape (l: Lowering) (node: NetworkNode) : unit =
        let value, sizes = l.InPlace(node, 0), (node.TrySizes "shape").Value
        let shape = value.Shape.With sizes

        if
            value.Shape.HasTokens
            || Array.contains 0 sizes
            || shape.Numbers <> value.Shape.Numbers
        then
            l.Refuse(node, invariant $"expected a shape of as many numbers as {value.Shape.Text} has, got {shape.Text}")

        l.Give(node, shape, value.Buffer)

    let pair (l: Lowering) (node: NetworkNode) : unit =
        // The second one first: it may be the first one's buffer, which is then a copy.
        let struct (other, release) = l.Input(node, 1)
        let value = l.InPlace(node, 0)

        if
            value.Shape.Sizes <> other.Shape.Sizes
            || value.Shape.HasTokens <> other.Shape.HasTokens
        then
            l.Refuse(node, invariant $"expected two values of one shape, got {value.Shape.Text} and {other.Shape.Text}")

        l.Add(PairStep(value.Buffer, other.Buffer, value.Numbers, (node.Operator = "multiply")))

        if other.Buffer <> value.Buffer then
            release ()

        l.Give(node, value.Shape, value.Buffer)

    let private withLast (shape: ValueShape) (size: int) : ValueShape =
        let sizes = Array.copy shape.Sizes
        sizes[sizes.Length - 1] <- size
        shape.With sizes

    let part (l: Lowering) (node: NetworkNode) : unit =
        let first, count = l.Whole(node, "first", 0, 1 <<< 30), l.Size(node, "count")
        let struct (value, release) = l.Input(node, 0)

        if int64 first + int64 count > int64 value.Shape.Last then
            l.Refuse(
                node,
                invariant $"expected a part of the last dimension, got {first} + {count} of {value.Shape.Text}"
            )

        let into = l.Room(node, withLast value.Shape count)
        release ()
        l.Add(PartStep(value.Buffer, value.Shape.Last, first, count, into, count, 0, value.RowCount))

    let concat (l: Lowering) (node: NetworkNode) : unit =
        let struct (a, releaseA) = l.Input(node, 0)
        let struct (b, releaseB) = l.Input(node, 1)
        let before (shape: ValueShape) = shape.Sizes[.. shape.Sizes.Length - 2]

        if
            a.Shape.Last = 0
            || b.Shape.Last = 0
            || a.Shape.HasTokens <> b.Shape.HasTokens
            || before a.Shape <> before b.Shape
        then
            l.Refuse(
                node,
                invariant
                    $"expected shapes that differ in the last dimension alone, got {a.Shape.Text} and {b.Shape.Text}"
            )

        let width = a.Shape.Last + b.Shape.Last
        let into = l.Room(node, withLast a.Shape width)
        l.Add(PartStep(a.Buffer, a.Shape.Last, 0, a.Shape.Last, into, width, 0, a.RowCount))
        l.Add(PartStep(b.Buffer, b.Shape.Last, 0, b.Shape.Last, into, width, a.Shape.Last, b.RowCount))
        releaseA ()

        if b.Buffer <> a.Buffer then
            releaseB ()

    let element (l: Lowering) (node: NetworkNode) : unit =
        let value = l.InPlace(node, 0)
        let number = node.TryNumber "slope" |> ValueOption.defaultValue 0.0
        l.Add(ElementStep(value.Buffer, value.Numbers, node.Operator, number))
        l.Give(node, value.Shape, value.Buffer)

    /// What units win by: a term for each unit whose duty cycle is known.
    let private terms (l: Lowering) (node: NetworkNode) (units: int) : struct (Scores * float32[]) =
        let exponential, additive = node.TryNumber "exponential", node.TryNumber "additive"

        match exponential, additive with
        | ValueNone, ValueNone -> struct (Scores.Inputs, [||])
        | ValueSome _, ValueSome _ -> l.Refuse(node, "expected one of exponential and additive, got both")
        | _ ->
            let duty = l.Tensor(node, "duty_cycle", [| int64 units |])

            match node.TryNumber "target" with
            | ValueSome target when duty.Length > 0 ->
                let strength =
                    ValueOption.orElse additive exponential |> ValueOption.defaultValue 0.0

                let terms =
                    duty
                    |> Array.map (fun duty ->
                        let deficit = float32 strength * (float32 target - duty)
                        if exponential.IsSome then MathF.Exp deficit else deficit)

                struct ((if exponential.IsSome then Scores.Products else Scores.Sums), terms)
            | _ -> l.Refuse(node, "expected a target and duty_cycle beside the strength")

    let winners (l: Lowering) (node: NetworkNode) : unit =
        let struct (value, release) = l.Input(node, 0)
        let units = value.Shape.Last

        if units = 0 then
            l.Refuse(node, "expected a dimension of units, got single numbers")

        let k = l.Whole(node, "k", 1, units)
        let struct (form, terms) = terms l node units
        let into = l.Room(node, value.Shape)
        release ()

        if int64 k * int64 FewWinners <= int64 units then
            l.SetSparse node

        l.Add(WinnersStep(value.Buffer, into, units, k, form, terms, value.RowCount, l.Threads, -1))

    let winners2d (l: Lowering) (node: NetworkNode) : unit =
        let struct (value, release) = l.Input(node, 0)
        let sizes = value.Shape.Sizes

        if value.Shape.HasTokens || sizes.Length <> 3 then
            l.Refuse(node, invariant $"expected [channels, height, width], got {value.Shape.Text}")

        let channels, pixels = sizes[0], sizes[1] * sizes[2]

        if l.Flag(node, "local") then
            let k = l.Whole(node, "k", 1, channels)
            let struct (form, terms) = terms l node channels
            let byPlace = l.Acquire(value.Shape.Numbers, false)
            let chosen = l.Acquire(value.Shape.Numbers, false)
            let into = l.Room(node, value.Shape)
            l.Add(TransposeStep(value.Buffer, byPlace, channels, pixels))
            let rows = { Rows = pixels; HasTokens = false }
            l.Add(WinnersStep(byPlace, chosen, channels, k, form, terms, rows, l.Threads, -1))
            l.Add(TransposeStep(chosen, into, pixels, channels))
            l.Release byPlace
            l.Release chosen
        else
            let units = int value.Shape.Numbers
            let k = l.Whole(node, "k", 1, units)
            let struct (form, terms) = terms l node channels
            let into = l.Room(node, value.Shape)
            let rows = { Rows = 1; HasTokens = false }

            let ofUnits =
                if terms.Length = 0 then
                    -1
                else
                    l.Acquire(value.Shape.Numbers, false)

            if ofUnits >= 0 then
                l.Add(RepeatStep(terms, pixels, ofUnits))
                l.Release ofUnits

            l.Add(WinnersStep(value.Buffer, into, units, k, form, terms, rows, l.Threads, ofUnits))

        release ()
