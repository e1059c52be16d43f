/// Networks in float64, and how far from them a float32 computation may end.
module SparseFs.Tests.NetworkBound

open System
open SparseFs
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// A number and what it may be off by.
[<Struct>]
type Near = { Value: float; Error: float }

let private u = Oracle.float32Roundoff

let private exact (value: float) : Near = { Value = value; Error = 0.0 }

let private numbers (t: torch.Tensor) : float[] =
    t.detach().to_type(torch.ScalarType.Float64).cpu().contiguous().data<float>().ToArray()

/// A sum of products in any order: each of its n roundings is of at most the sum of all sizes.
let private product (weights: float[]) (bias: float) (x: Near[]) : Near =
    let mutable value, size, carried = bias, abs bias, 0.0

    for i in 0 .. x.Length - 1 do
        let w = weights[i]
        value <- value + w * x[i].Value
        size <- size + abs w * (abs x[i].Value + x[i].Error)
        carried <- carried + abs w * x[i].Error

    { Value = value
      Error = carried + float (x.Length + 2) * u * size }

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

let private sigmoid x = 1.0 / (1.0 + exp -x)

let private rows (matrix: torch.Tensor) (bias: torch.Tensor | null) (x: Near[]) : Near[] =
    let outputs, inputs = int matrix.shape[0], int matrix.shape[1]
    let weights = numbers matrix

    let biases =
        match bias with
        | null -> Array.zeroCreate outputs
        | bias -> numbers bias

    Array.init outputs (fun r -> product weights[r * inputs .. (r + 1) * inputs - 1] biases[r] x)

/// What a module makes of one sample.
let rec through (m: torch.nn.Module) (x: Near[]) : Near[] =
    match m with
    | :? Sequential as s -> Seq.fold (fun x (struct (_, inner)) -> through inner x) x (s.named_children ())
    | :? Linear as l -> rows l.weight l.bias x
    | :? SparseLinear as l ->
        use w = l.weightMatrix ()
        rows w l.bias x
    | :? BatchNorm1d as norm ->
        let weight, bias = TorchNulls.affineOf norm

        let orElse otherwise (t: torch.Tensor | null) =
            match t with
            | null -> Array.create x.Length otherwise
            | t -> numbers t

        let mean, variance = orElse 0.0 norm.running_mean, orElse 1.0 norm.running_var
        let weight, bias = orElse 1.0 weight, orElse 0.0 bias

        Array.init x.Length (fun i ->
            let factor = weight[i] / sqrt (variance[i] + norm.eps)
            let value = (x[i].Value - mean[i]) * factor + bias[i]
            let size = (abs x[i].Value + abs mean[i]) * abs factor + abs bias[i]

            { Value = value
              Error = abs factor * x[i].Error + 16.0 * u * size })
    | :? LayerNorm as norm ->
        let mean = x |> Array.averageBy _.Value
        let variance = x |> Array.averageBy (fun v -> (v.Value - mean) ** 2.0)
        let deviation = sqrt (variance + norm.eps)
        let worst = x |> Array.map _.Error |> Array.max
        let largest = x |> Array.map (fun v -> abs v.Value) |> Array.max

        let weight, bias =
            match TorchNulls.scaleOf norm, norm.bias with
            | NonNull w, NonNull b -> numbers w, numbers b
            | _ -> Array.create x.Length 1.0, Array.create x.Length 0.0

        // The slopes of a row's normalization sum up to at most 2 √n / deviation.
        let slope = 2.0 * sqrt (float x.Length) / deviation

        Array.init x.Length (fun i ->
            let normal = (x[i].Value - mean) / deviation
            let value = normal * weight[i] + bias[i]
            let rounding = float (x.Length + 16) * u * (largest / deviation + abs normal)

            { Value = value
              Error = abs weight[i] * (slope * worst + rounding) + 4.0 * u * (abs value + abs bias[i]) })
    | :? ReLU -> x |> Array.map (smooth (fun v -> max v 0.0) 1.0)
    | :? LeakyReLU as leaky ->
        x
        |> Array.map (smooth (fun v -> if v > 0.0 then v else leaky.negative_slope * v) 1.0)
    | :? GELU as gelu ->
        let f =
            if gelu.approximate = GELU.Approximate.tanh then
                fun v -> 0.5 * v * (1.0 + tanh (sqrt (2.0 / Math.PI) * (v + 0.044715 * v * v * v)))
            else
                fun v -> 0.5 * v * (1.0 + erf (v / sqrt 2.0))

        x |> Array.map (smooth f 1.13)
    | :? SiLU -> x |> Array.map (smooth (fun v -> v * sigmoid v) 1.1)
    | :? Sigmoid -> x |> Array.map (smooth sigmoid 0.25)
    | :? Tanh -> x |> Array.map (smooth tanh 1.0)
    | :? Softmax ->
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
    | :? LogSoftmax ->
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
    | _ -> x // Dropout, Identity and Flatten, in evaluation

/// The outputs of samples [n, inputs], and how far from them float32 may end.
let outputs (model: torch.nn.Module) (samples: float32[]) (inputs: int) : Near[] =
    samples
    |> Array.chunkBySize inputs
    |> Array.collect (fun sample -> through model (sample |> Array.map (float >> exact)))
