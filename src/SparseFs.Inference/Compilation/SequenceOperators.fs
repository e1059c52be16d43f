namespace SparseFs.Inference

open SparseFs
open SparseFs.Kernels

/// <summary>Operators over tokens.</summary>
[<RequireQualifiedAccess>]
module internal SequenceOperators =

    let private table (l: Lowering) (node: NetworkNode) : struct (float32[] * int * int) =
        let count, features = l.Size(node, "count"), l.Size(node, "features")
        struct (l.Tensor(node, "weight", [| int64 count; int64 features |]), count, features)

    let embedding (l: Lowering) (node: NetworkNode) : unit =
        let struct (value, release) = l.Input(node, 0)

        if not value.IsTokens then
            l.Refuse(node, "expected tokens of int32 or int64, got numbers of float32")

        let struct (table, _, features) = table l node

        let into =
            l.Room(node, value.Shape.With(Array.append value.Shape.Sizes [| features |]))

        release ()
        l.Add(EmbeddingStep(table, features, value.Buffer, into, value.Numbers))

    /// Rows of features, one for each token.
    let private checkRows (l: Lowering) (node: NetworkNode) (value: Value) (features: int) : unit =
        if not value.Shape.HasTokens || value.Shape.Sizes <> [| features |] then
            l.Refuse(node, invariant $"expected [tokens, {features}], got {value.Shape.Text}")

    let positions (l: Lowering) (node: NetworkNode) : unit =
        let struct (table, count, features) = table l node
        let value = l.InPlace(node, 0)
        checkRows l node value features
        l.Limit count
        l.Add(PositionStep(table, features, value.Buffer))
        l.Give(node, value.Shape, value.Buffer)

    let oneOf (l: Lowering) (node: NetworkNode) : unit =
        let struct (value, release) = l.Input(node, 0)

        if not value.Shape.HasTokens then
            l.Refuse(node, invariant $"expected tokens, got {value.Shape.Text}")

        let isMean = node.Operator = "mean_of_tokens"

        if isMean then
            l.NoSession(node, "takes the mean of all tokens")

        let into = l.Room(node, { value.Shape with HasTokens = false })
        release ()
        l.Add(TokenStep(value.Buffer, into, int value.Shape.Numbers, isMean))

    let attention (l: Lowering) (node: NetworkNode) : unit =
        let inputs = node.Inputs |> Array.mapi (fun i _ -> l.Input(node, i))

        let valueOf index =
            let struct (value, _) = inputs[index] in value

        let heads, isCausal = l.Size(node, "heads"), l.Flag(node, "causal")
        let width = (valueOf 0).Shape.Last
        let features = if inputs.Length = 1 then width / 3 else width

        if features < 1 || features % heads <> 0 || (inputs.Length = 1 && width % 3 <> 0) then
            l.Refuse(node, invariant $"expected features that {heads} heads divide, got {(valueOf 0).Shape.Text}")

        for i in 0 .. inputs.Length - 1 do
            checkRows l node (valueOf i) width

        if not isCausal then
            l.NoSession(node, "sees tokens that are still to come")

        let sourceOf (index: int) : AttentionSource =
            if inputs.Length = 1 then
                { Buffer = (valueOf 0).Buffer
                  Width = width
                  First = index * features }
            else
                { Buffer = (valueOf index).Buffer
                  Width = width
                  First = 0 }

        let logarithms = l.Acquire(int64 heads, true)

        let into =
            l.Room(
                node,
                { Sizes = [| features |]
                  HasTokens = true }
            )

        let keys, values = l.State(int64 features, true), l.State(int64 features, true)

        l.Add(
            AttentionStep(
                sourceOf 0,
                sourceOf 1,
                sourceOf 2,
                heads,
                features,
                isCausal,
                into,
                logarithms,
                keys,
                values,
                l.Threads
            )
        )

        l.Release logarithms

        for struct (_, release) in inputs do
            release ()

    let recurrent (l: Lowering) (node: NetworkNode) : unit =
        let cell =
            match node.Operator with
            | "lstm" -> Cell.Lstm
            | "gru" -> Cell.Gru
            | "rnn_relu" -> Cell.Relu
            | _ -> Cell.Tanh

        let most = (1 <<< 30) / Cell.gates cell
        let inputs, units = l.Size(node, "in_features"), l.Whole(node, "units", 1, most)
        let isReverse = l.Flag(node, "reverse")
        let projects = (node.TryNumber "projection").IsSome

        let outputs =
            if projects then
                l.Whole(node, "projection", 1, units)
            else
                units

        let struct (value, release) = l.Input(node, 0)
        checkRows l node value inputs

        if isReverse then
            l.NoSession(node, "begins with the last token")

        let rows = Cell.gates cell * units

        let of' suffix rows cols bias =
            l.Product(node, suffix, [| int64 rows; int64 cols |], rows, cols, bias)

        let ofInputs, ofState =
            of' "_ih" rows inputs "bias_ih", of' "_hh" rows outputs "bias_hh"

        let projection =
            if projects then
                if (node.TryTensor "weight_hr").IsNone then
                    l.Refuse(node, "expected tensor 'weight_hr' beside the projection")

                ValueSome(of' "_hr" outputs units "")
            else
                ValueNone

        let wide = Elements.room (int64 units)

        let rooms =
            { From = value.Buffer
              Into = l.Room(node, value.Shape.With [| outputs |])
              OfInputs = l.Acquire(int64 rows, true)
              OfState = l.Acquire(int64 rows, false)
              Gates = l.Acquire(int64 (Cell.gates cell) * wide, false)
              Hidden = l.Acquire(int64 units, false)
              State = l.State(int64 outputs, false)
              Cells = if cell = Cell.Lstm then l.State(int64 units, false) else -1 }

        release ()
        l.Release rooms.OfInputs
        l.Release rooms.OfState
        l.Release rooms.Gates
        l.Release rooms.Hidden
        l.Add(RecurrentStep(cell, ofInputs, ofState, projection, isReverse, rooms))
