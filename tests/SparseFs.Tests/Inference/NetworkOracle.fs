/// Networks of files in float64, operator by operator as docs/format.md has them, and how far from that a float32 computation may end.
module SparseFs.Tests.NetworkOracle

open System
open System.Collections.Generic
open System.IO
open SparseFs
open SparseFs.Inference
open SparseFs.Torch
open TorchSharp

/// A number and what it may be off by.
[<Struct>]
type Near = { Value: float; Error: float }

/// A value of one sample; tokens are its first dimension where it has them.
type private Array' = { Sizes: int list; Numbers: Near[] }

let private u = Oracle.float32Roundoff

let exact (value: float) : Near = { Value = value; Error = 0.0 }

let private numbersOf (t: torch.Tensor) : float[] =
    t.detach().to_type(torch.ScalarType.Float64).cpu().contiguous().data<float>().ToArray()

/// A sum of products in any order, and a scale and a bias behind it: each of its n roundings is of at most the sum of all sizes.
let private product (terms: (float * Near) seq) (bias: float) : Near =
    let mutable value, size, carried, count = bias, abs bias, 0.0, 0

    for w, x in terms do
        value <- value + w * x.Value
        size <- size + abs w * (abs x.Value + x.Error)
        carried <- carried + abs w * x.Error
        count <- count + 1

    { Value = value
      Error = carried + float (count + 4) * u * size }

/// The same of two computed factors.
let private products (terms: (Near * Near) seq) : Near =
    let mutable value, size, carried, count = 0.0, 0.0, 0.0, 0

    for a, b in terms do
        value <- value + a.Value * b.Value
        size <- size + (abs a.Value + a.Error) * (abs b.Value + b.Error)
        carried <- carried + abs a.Value * b.Error + abs b.Value * a.Error + a.Error * b.Error
        count <- count + 1

    { Value = value
      Error = carried + float (count + 2) * u * size }

let private add (a: Near) (b: Near) : Near =
    let value = a.Value + b.Value

    { Value = value
      Error = a.Error + b.Error + u * (abs value + a.Error + b.Error) }

let private times (a: Near) (b: Near) : Near = products [ a, b ]

/// A function whose slope is at most so much, computed within 16 units of its own and of its argument's roundings.
let private smooth (f: float -> float) (slope: float) (x: Near) : Near =
    let value = f x.Value

    { Value = value
      Error = slope * x.Error + 16.0 * u * (abs value + abs x.Value) }

let private erf (x: float) : float =
    // Σ of Maclaurin's series; arguments are small, and beyond 6 it is 1 in float64.
    if abs x > 6.0 then
        float (sign x)
    else
        let mutable term, sum = x, x

        for n in 1..120 do
            term <- -term * x * x / float n
            sum <- sum + term / float (2 * n + 1)

        2.0 / sqrt Math.PI * sum

let private logistic x = 1.0 / (1.0 + exp -x)

let private element (operator': string) (slope: float) : Near -> Near =
    match operator' with
    | "relu" -> smooth (fun v -> max v 0.0) 1.0
    | "leaky_relu" -> smooth (fun v -> if v > 0.0 then v else slope * v) (max 1.0 (abs slope))
    | "gelu" -> smooth (fun v -> 0.5 * v * (1.0 + erf (v / sqrt 2.0))) 1.13
    | "gelu_tanh" -> smooth (fun v -> 0.5 * v * (1.0 + tanh (sqrt (2.0 / Math.PI) * (v + 0.044715 * v * v * v)))) 1.13
    | "silu" -> smooth (fun v -> v * logistic v) 1.1
    | "sigmoid" -> smooth logistic 0.25
    | "tanh" -> smooth tanh 1.0
    | other -> failwith $"the oracle has no {other}"

let private softmax (x: Near[]) : Near[] =
    let largest = x |> Array.map _.Value |> Array.max
    let e = x |> Array.map (fun v -> exp (v.Value - largest))
    let sum = Array.sum e
    let worst = x |> Array.map _.Error |> Array.max
    let wide = x |> Array.map (fun v -> abs (v.Value - largest)) |> Array.max

    e
    |> Array.map (fun e ->
        let value = e / sum

        { Value = value
          Error = value * (2.0 * worst + (float x.Length + 16.0 + wide) * 2.0 * u) })

let private logSoftmax (x: Near[]) : Near[] =
    let largest = x |> Array.map _.Value |> Array.max
    let sum = x |> Array.sumBy (fun v -> exp (v.Value - largest))
    let worst = x |> Array.map _.Error |> Array.max

    x
    |> Array.map (fun v ->
        let value = v.Value - largest - log sum

        { Value = value
          Error =
            2.0 * worst
            + (float x.Length + 16.0) * u * (abs v.Value + abs largest + abs value + 1.0) })

/// (x − mean) / √(variance + epsilon), or x / √(mean of squares + epsilon), and then scale and shift.
let private normalize (hasMean: bool) (epsilon: float) (weight: float[]) (bias: float[]) (x: Near[]) : Near[] =
    let mean = if hasMean then x |> Array.averageBy _.Value else 0.0
    let variance = x |> Array.averageBy (fun v -> (v.Value - mean) ** 2.0)
    let deviation = sqrt (variance + epsilon)
    let worst = x |> Array.map _.Error |> Array.max
    let largest = x |> Array.map (fun v -> abs v.Value) |> Array.max
    // The slopes of a row's normalization sum up to at most 2 √n / deviation.
    let slope = 2.0 * sqrt (float x.Length) / deviation

    x
    |> Array.mapi (fun i v ->
        let normal = (v.Value - mean) / deviation
        let w = if weight.Length = 0 then 1.0 else weight[i]
        let b = if bias.Length = 0 then 0.0 else bias[i]
        let value = normal * w + b
        let rounding = float (x.Length + 16) * u * (largest / deviation + abs normal)

        { Value = value
          Error = abs w * (slope * worst + rounding) + 4.0 * u * (abs value + abs b) })

/// The network of a file: each sample's outputs.
type NetworkReference(path: string) =
    let file = Safetensors.load path

    let network =
        NetworkText.read path (Safetensors.inspect path).Metadata[NetworkDescription.Key]

    let tensor (node: NetworkNode) (role: string) : float[] =
        match node.TryTensor role with
        | ValueSome name -> numbersOf file[name]
        | ValueNone -> [||]

    let number (node: NetworkNode) (name: string) : float =
        node.TryNumber name |> ValueOption.defaultValue 0.0

    let whole node name = int (number node name)

    let bytes (node: NetworkNode) (role: string) : byte[] =
        file[(node.TryTensor role).Value].data<byte>().ToArray()

    /// Columns of each row of a compact pattern, byte by byte.
    let compact (node: NetworkNode) (suffix: string) (rows: int) (cols: int) : int[][] =
        let group =
            node.TryNumber("group" + suffix)
            |> ValueOption.map int
            |> ValueOption.defaultValue 1

        let groups = (rows + group - 1) / group
        let has role = (node.TryTensor(role + suffix)).IsSome

        let counts =
            if has "counts" then
                let stream = bytes node ("counts" + suffix)
                let mutable at = 0

                [| while at < stream.Length do
                       let mutable number, shift = int (stream[at] &&& 0x7Fuy), 7

                       while stream[at] >= 0x80uy do
                           at <- at + 1
                           number <- number ||| (int (stream[at] &&& 0x7Fuy) <<< shift)
                           shift <- shift + 7

                       at <- at + 1
                       number |]
            else
                [||]

        let ofGroups =
            if has "deltas" then
                let stream = bytes node ("deltas" + suffix)
                let mutable at = 0

                counts
                |> Array.map (fun count ->
                    let mutable column = -1

                    Array.init count (fun _ ->
                        while stream[at] = 255uy do
                            column <- column + 255
                            at <- at + 1

                        column <- column + 1 + int stream[at]
                        at <- at + 1
                        column))
            elif has "offsets" then
                let stream = bytes node ("offsets" + suffix)
                let blocks = max 1 ((cols + 65_535) / 65_536)
                let mutable at = 0

                counts
                |> Array.chunkBySize blocks
                |> Array.map (fun counts ->
                    counts
                    |> Array.mapi (fun block count ->
                        Array.init count (fun _ ->
                            at <- at + 2
                            65_536 * block + int stream[at - 2] + 256 * int stream[at - 1]))
                    |> Array.concat)
            else
                let stream = bytes node ("bitmap" + suffix)

                stream
                |> Array.chunkBySize (stream.Length / groups)
                |> Array.map (fun row ->
                    [| for c in 0 .. cols - 1 do
                           if row[c / 8] >>> (c % 8) &&& 1uy = 1uy then
                               c |])

        Array.init rows (fun r -> ofGroups[r / group])

    /// Rows of (column, weight).
    let matrix (node: NetworkNode) (suffix: string) (rows: int) (cols: int) : (int * float)[][] =
        let weight = tensor node ("weight" + suffix)
        let scale = tensor node ("scale" + suffix)
        let has role = (node.TryTensor(role + suffix)).IsSome

        let columns =
            if has "row_ptr" then
                let rowPtr = tensor node ("row_ptr" + suffix) |> Array.map int
                let colIdx = tensor node ("col_idx" + suffix) |> Array.map int
                Array.init rows (fun r -> colIdx[rowPtr[r] .. rowPtr[r + 1] - 1])
            elif has "deltas" || has "offsets" || has "bitmap" then
                compact node suffix rows cols
            else
                Array.init rows (fun _ -> [| 0 .. cols - 1 |])

        let mutable slot = 0

        columns
        |> Array.mapi (fun r own ->
            own
            |> Array.map (fun column ->
                slot <- slot + 1
                column, weight[slot - 1] * (if scale.Length = 0 then 1.0 else scale[r])))

    let apply (rows: (int * float)[][]) (bias: float[]) (x: Near[]) : Near[] =
        rows
        |> Array.mapi (fun r row ->
            product (row |> Seq.map (fun (c, w) -> w, x[c])) (if bias.Length = 0 then 0.0 else bias[r]))

    let byLast (a: Array') (f: Near[] -> Near[]) : Array' =
        let last = List.last a.Sizes
        let rows = a.Numbers |> Array.chunkBySize last |> Array.map f

        { Sizes = List.take (a.Sizes.Length - 1) a.Sizes @ [ rows[0].Length ]
          Numbers = Array.concat rows }

    /// Indices of a volume of up to three dimensions.
    let places (sizes: int[]) : int[][] =
        sizes
        |> Array.fold
            (fun all size ->
                all
                |> Array.collect (fun p -> Array.init size (fun i -> Array.append p [| i |])))
            [| [||] |]

    let offset (sizes: int[]) (place: int[]) =
        Array.fold2 (fun at size i -> at * size + i) 0 sizes place

    let isInside (sizes: int[]) (place: int[]) =
        Array.forall2 (fun size i -> i >= 0 && i < size) sizes place

    let conv (node: NetworkNode) (a: Array') : Array' =
        let sizes name = (node.TrySizes name).Value
        let kernel, stride, dilation = sizes "kernel", sizes "stride", sizes "dilation"
        let before, after = sizes "before", sizes "after"
        let outputs, groups = whole node "out_channels", whole node "groups"
        let input = Array.ofList a.Sizes.Tail
        let perGroup = whole node "in_channels" / groups
        let cells = places kernel

        let output =
            Array.init input.Length (fun i ->
                (input[i] + before[i] + after[i] - dilation[i] * (kernel[i] - 1) - 1)
                / stride[i]
                + 1)

        let weights = matrix node "" outputs (perGroup * cells.Length)
        let bias = tensor node "bias"
        let pixels = Array.fold (*) 1 input

        { Sizes = outputs :: List.ofArray output
          Numbers =
            [| for o in 0 .. outputs - 1 do
                   for place in places output do
                       let terms =
                           [ for column, w in weights[o] do
                                 let channel = o / (outputs / groups) * perGroup + column / cells.Length
                                 let cell = cells[column % cells.Length]

                                 let at =
                                     Array.init input.Length (fun i ->
                                         place[i] * stride[i] + cell[i] * dilation[i] - before[i])

                                 if isInside input at then
                                     w, a.Numbers[channel * pixels + offset input at] ]

                       product terms (if bias.Length = 0 then 0.0 else bias[o]) |] }

    let pool (node: NetworkNode) (a: Array') : Array' =
        let sizes name = (node.TrySizes name).Value
        let isMax = node.Operator = "max_pool"
        let kernel, stride, padding = sizes "kernel", sizes "stride", sizes "padding"

        let dilation =
            if isMax then
                sizes "dilation"
            else
                Array.map (fun _ -> 1) kernel

        let input = Array.ofList a.Sizes.Tail

        let output =
            Array.init input.Length (fun i ->
                let free = input[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1
                let isCeil = number node "ceil" = 1.0

                let count =
                    (if isCeil then
                         (free + stride[i] - 1) / stride[i]
                     else
                         free / stride[i])
                    + 1

                if isCeil && (count - 1) * stride[i] >= input[i] + padding[i] then
                    count - 1
                else
                    count)

        let pixels = Array.fold (*) 1 input

        { Sizes = a.Sizes.Head :: List.ofArray output
          Numbers =
            [| for channel in 0 .. a.Sizes.Head - 1 do
                   for place in places output do
                       let window =
                           [| for cell in places kernel do
                                  let at =
                                      Array.init input.Length (fun i ->
                                          place[i] * stride[i] + cell[i] * dilation[i] - padding[i])

                                  if isInside input at then
                                      a.Numbers[channel * pixels + offset input at] |]

                       if isMax then
                           { Value = window |> Array.map _.Value |> Array.max
                             Error = window |> Array.map _.Error |> Array.max }
                       else
                           let count =
                               if number node "count_include_pad" = 1.0 then
                                   Array.init input.Length (fun i ->
                                       let first = place[i] * stride[i] - padding[i]
                                       min (first + kernel[i]) (input[i] + padding[i]) - first)
                                   |> Array.fold (*) 1
                               else
                                   window.Length

                           product (window |> Seq.map (fun x -> 1.0 / float count, x)) 0.0 |] }

    let adaptive (node: NetworkNode) (a: Array') : Array' =
        let output, input = (node.TrySizes "output").Value, Array.ofList a.Sizes.Tail
        let pixels = Array.fold (*) 1 input

        { Sizes = a.Sizes.Head :: List.ofArray output
          Numbers =
            [| for channel in 0 .. a.Sizes.Head - 1 do
                   for place in places output do
                       let window =
                           places input
                           |> Array.filter (fun at ->
                               Array.forall
                                   (fun i ->
                                       at[i] >= place[i] * input[i] / output[i]
                                       && at[i] < ((place[i] + 1) * input[i] + output[i] - 1) / output[i])
                                   [| 0 .. input.Length - 1 |])

                       product
                           (window
                            |> Seq.map (fun at ->
                                1.0 / float window.Length, a.Numbers[channel * pixels + offset input at]))
                           0.0 |] }

    let pad (node: NetworkNode) (a: Array') : Array' =
        let before, after = (node.TrySizes "before").Value, (node.TrySizes "after").Value
        let input = Array.ofList a.Sizes.Tail
        let output = Array.init input.Length (fun i -> input[i] + before[i] + after[i])
        let pixels = Array.fold (*) 1 input

        let source (i: int) (index: int) =
            let size = input[i]

            match node.Operator with
            | "pad_replicate" -> Math.Clamp(index, 0, size - 1)
            | "pad_circular" -> ((index % size) + size) % size
            | _ ->
                if index < 0 then -index
                elif index >= size then 2 * size - 2 - index
                else index

        { Sizes = a.Sizes.Head :: List.ofArray output
          Numbers =
            [| for channel in 0 .. a.Sizes.Head - 1 do
                   for place in places output do
                       let at = place |> Array.mapi (fun i index -> source i (index - before[i]))
                       a.Numbers[channel * pixels + offset input at] |] }

    let winners (node: NetworkNode) (duty: int -> float) (x: Near[]) : Near[] =
        let deficit i = number node "target" - duty i

        let score i =
            match node.TryNumber "exponential", node.TryNumber "additive" with
            | ValueSome strength, _ -> x[i].Value * exp (strength * deficit i)
            | _, ValueSome strength -> x[i].Value + strength * deficit i
            | _ -> x[i].Value

        let k = whole node "k"
        let order = [| 0 .. x.Length - 1 |] |> Array.sortBy (fun i -> -(score i), i)
        let kept = HashSet(Array.truncate k order)

        /// What a score may be off by.
        let slack i =
            let factor =
                match node.TryNumber "exponential" with
                | ValueSome strength -> exp (strength * deficit i)
                | ValueNone -> 1.0

            factor * x[i].Error + 32.0 * u * abs (score i)

        // Where the last winner and the first loser are that near, either may win.
        let isOpen =
            k < x.Length
            && (let last, next = order[k - 1], order[k]

                score last - score next <= slack last + slack next
                && slack last + slack next > 0.0)

        x
        |> Array.mapi (fun i v ->
            let own = if kept.Contains i then v else exact 0.0
            if isOpen then { own with Error = infinity } else own)

    let attention (node: NetworkNode) (inputs: Array'[]) : Array' =
        let tokens, width = inputs[0].Sizes.Head, List.last inputs[0].Sizes
        let features = if inputs.Length = 1 then width / 3 else width
        let heads = whole node "heads"
        let ofHead = features / heads

        let at which token feature =
            if inputs.Length = 1 then
                inputs[0].Numbers[token * width + which * features + feature]
            else
                inputs[which].Numbers[token * width + feature]

        let result = Array.create (tokens * features) (exact 0.0)

        for head in 0 .. heads - 1 do
            for query in 0 .. tokens - 1 do
                let seen = if number node "causal" = 1.0 then query + 1 else tokens

                let weights =
                    Array.init seen (fun key ->
                        products [ for f in head * ofHead .. (head + 1) * ofHead - 1 -> at 0 query f, at 1 key f ]
                        |> times (exact (1.0 / sqrt (float ofHead))))
                    |> softmax

                for f in head * ofHead .. (head + 1) * ofHead - 1 do
                    result[query * features + f] <- products [ for key in 0 .. seen - 1 -> weights[key], at 2 key f ]

        { Sizes = [ tokens; features ]
          Numbers = result }

    let recurrent (node: NetworkNode) (a: Array') : Array' =
        let units, inputs = whole node "units", whole node "in_features"
        let projects = (node.TryNumber "projection").IsSome
        let outputs = if projects then whole node "projection" else units

        let gates =
            match node.Operator with
            | "lstm" -> 4
            | "gru" -> 3
            | _ -> 1

        let ofInputs, ofState =
            matrix node "_ih" (gates * units) inputs, matrix node "_hh" (gates * units) outputs

        let biasInputs, biasState = tensor node "bias_ih", tensor node "bias_hh"
        let projection = if projects then matrix node "_hr" outputs units else [||]
        let tokens = a.Sizes.Head
        let mutable h, c = Array.create outputs (exact 0.0), Array.create units (exact 0.0)
        let result = Array.zeroCreate (tokens * outputs)
        let sigmoid, tanh' = element "sigmoid" 0.0, element "tanh" 0.0

        for step in 0 .. tokens - 1 do
            let token =
                if number node "reverse" = 1.0 then
                    tokens - 1 - step
                else
                    step

            let x =
                apply ofInputs biasInputs a.Numbers[token * inputs .. (token + 1) * inputs - 1]

            let s = apply ofState biasState h

            let gate index unit =
                add x[index * units + unit] s[index * units + unit]

            let hidden =
                Array.init units (fun unit ->
                    match node.Operator with
                    | "lstm" ->
                        let i, f = sigmoid (gate 0 unit), sigmoid (gate 1 unit)
                        let candidate, o = tanh' (gate 2 unit), sigmoid (gate 3 unit)
                        c[unit] <- add (times f c[unit]) (times i candidate)
                        times o (tanh' c[unit])
                    | "gru" ->
                        let r, z = sigmoid (gate 0 unit), sigmoid (gate 1 unit)
                        let n = tanh' (add x[2 * units + unit] (times r s[2 * units + unit]))
                        add (times (add (exact 1.0) { z with Value = -z.Value }) n) (times z h[unit])
                    | "rnn_relu" -> element "relu" 0.0 (gate 0 unit)
                    | _ -> tanh' (gate 0 unit))

            h <- if projects then apply projection [||] hidden else hidden
            Array.blit h 0 result (token * outputs) outputs

        { Sizes = [ tokens; outputs ]
          Numbers = result }

    let compute (node: NetworkNode) (inputs: Array'[]) : Array' =
        let a = inputs[0]

        match node.Operator with
        | "linear"
        | "sparse_linear" ->
            let rows, cols = whole node "out_features", whole node "in_features"
            let weights, bias = matrix node "" rows cols, tensor node "bias"
            byLast a (apply weights bias)
        | "conv"
        | "sparse_conv" -> conv node a
        | "max_pool"
        | "avg_pool" -> pool node a
        | "adaptive_avg_pool" -> adaptive node a
        | "pad_reflect"
        | "pad_replicate"
        | "pad_circular" -> pad node a
        | "batch_norm" ->
            let mean, variance = tensor node "running_mean", tensor node "running_var"
            let weight, bias = tensor node "weight", tensor node "bias"
            let pixels = a.Numbers.Length / a.Sizes.Head

            { a with
                Numbers =
                    a.Numbers
                    |> Array.mapi (fun i x ->
                        let c = i / pixels

                        let factor =
                            (if weight.Length = 0 then 1.0 else weight[c])
                            / sqrt (variance[c] + number node "epsilon")

                        let shift = if bias.Length = 0 then 0.0 else bias[c]
                        let size = (abs x.Value + abs mean[c]) * abs factor + abs shift

                        { Value = (x.Value - mean[c]) * factor + shift
                          Error = abs factor * x.Error + 16.0 * u * size }) }
        | "layer_norm" -> byLast a (normalize true (number node "epsilon") (tensor node "weight") (tensor node "bias"))
        | "rms_norm" -> byLast a (normalize false (number node "epsilon") (tensor node "weight") [||])
        | "softmax" -> byLast a softmax
        | "log_softmax" -> byLast a logSoftmax
        | "reshape" ->
            { a with
                Sizes = List.ofArray (node.TrySizes "shape").Value }
        | "flatten" -> { a with Sizes = [ a.Numbers.Length ] }
        | "add" ->
            { a with
                Numbers = Array.map2 add a.Numbers inputs[1].Numbers }
        | "multiply" ->
            { a with
                Numbers = Array.map2 times a.Numbers inputs[1].Numbers }
        | "part" -> byLast a (fun row -> row[whole node "first" .. whole node "first" + whole node "count" - 1])
        | "concat" ->
            let rows (a: Array') =
                a.Numbers |> Array.chunkBySize (List.last a.Sizes)

            let joined = Array.map2 Array.append (rows a) (rows inputs[1])

            { Sizes = List.take (a.Sizes.Length - 1) a.Sizes @ [ joined[0].Length ]
              Numbers = Array.concat joined }
        | "embedding" ->
            let table, features = tensor node "weight", whole node "features"

            { Sizes = a.Sizes @ [ features ]
              Numbers =
                a.Numbers
                |> Array.collect (fun token ->
                    Array.init features (fun f -> exact table[int token.Value * features + f])) }
        | "position_embedding" ->
            let table = tensor node "weight"

            { a with
                Numbers = a.Numbers |> Array.mapi (fun i x -> add x (exact table[i])) }
        | "attention" -> attention node inputs
        | "lstm"
        | "gru"
        | "rnn_tanh"
        | "rnn_relu" -> recurrent node a
        | "last_token" ->
            let rest = a.Numbers.Length / a.Sizes.Head

            { Sizes = a.Sizes.Tail
              Numbers = a.Numbers[a.Numbers.Length - rest ..] }
        | "mean_of_tokens" ->
            let rest = a.Numbers.Length / a.Sizes.Head

            { Sizes = a.Sizes.Tail
              Numbers =
                Array.init rest (fun i ->
                    product [ for t in 0 .. a.Sizes.Head - 1 -> 1.0 / float a.Sizes.Head, a.Numbers[t * rest + i] ] 0.0) }
        | "k_winners" ->
            let duty = tensor node "duty_cycle"
            byLast a (winners node (fun i -> duty[i]))
        | "k_winners_2d" ->
            let duty, channels = tensor node "duty_cycle", a.Sizes.Head
            let pixels = a.Numbers.Length / channels

            if number node "local" = 0.0 then
                { a with
                    Numbers = winners node (fun i -> duty[i / pixels]) a.Numbers }
            else
                let chosen =
                    Array.init pixels (fun p ->
                        winners node (fun c -> duty[c]) (Array.init channels (fun c -> a.Numbers[c * pixels + p])))

                { a with
                    Numbers = Array.init a.Numbers.Length (fun i -> chosen[i % pixels].[i / pixels]) }
        | other ->
            { a with
                Numbers = Array.map (element other (number node "slope")) a.Numbers }

    /// <summary>The first output of one sample.</summary>
    /// <param name="sample">Its numbers or tokens, as training saw them: normalized.</param>
    /// <param name="tokens">How many it has, where the network has them.</param>
    member _.Of(sample: float[], tokens: int) : Near[] =
        let values = Dictionary<string, Array'>()
        let port = network.Inputs[0]
        let sizes = List.ofArray port.Shape.Sizes

        values[port.Name] <-
            { Sizes = if port.Shape.HasTokens then tokens :: sizes else sizes
              Numbers = Array.map exact sample }

        for node in network.Nodes do
            values[node.Name] <- compute node (node.Inputs |> Array.map (fun name -> values[name]))

        values[network.Outputs[0].Value].Numbers

    /// The operators that the network has.
    member _.Operators: string list = [ for node in network.Nodes -> node.Operator ]
