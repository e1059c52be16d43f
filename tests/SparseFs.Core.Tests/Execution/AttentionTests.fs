module SparseFs.Tests.AttentionTests

#nowarn "9"

open System
open Microsoft.FSharp
open Expecto
open FsCheck.FSharp
open SparseFs
open SparseFs.Kernels
open SparseFs.Tests.Guarded

/// Queries, keys and values side by side in one tensor, as one projection gives them, or each in its own.
type private AttentionCase =
    { Shape: AttentionShape
      IsPacked: bool
      Query: float32[]
      Key: float32[]
      Value: float32[]
      DY: float32[] }

    override c.ToString() = $"%A{c.Shape}, packed {c.IsPacked}"

let private drawn (seed: int) : AttentionCase =
    let random = Random seed
    let queries = random.Next(1, 50)
    let isPacked = random.Next 2 = 0

    let shape =
        { Samples = random.Next(1, 3)
          Heads = random.Next(1, 4)
          Queries = queries
          Keys = if isPacked then queries else queries + random.Next 20
          Features = [| 1; 3; 8; 16; 20; 32 |][random.Next 6]
          IsCausal = random.Next 2 = 0
          Drop =
            match random.Next 3 with
            | 0 -> DropoutDraw.Of(Seed.ofInt seed, random.NextDouble())
            | _ -> DropoutDraw.None }

    let numbers (scale: float32) (tokens: int) =
        Array.init (shape.Samples * tokens * shape.Heads * shape.Features) (fun _ ->
            scale * (2.0f * random.NextSingle() - 1.0f))

    { Shape = shape
      IsPacked = isPacked
      Query = numbers 3.0f shape.Queries
      Key = numbers 2.0f shape.Keys
      Value = numbers 1.0f shape.Keys
      DY = numbers 1.0f shape.Queries }

/// e^x by a formula that is right within some units of 1, as numbers of a row are where the largest is 1.
let private exponential (x: Bounded) : Bounded =
    let value = exp x.Value
    Bounded.Rounded(value, value * (exp x.Error - 1.0) + 8.0 * Oracle.float32Roundoff, 1.0)

let private quotient (a: Bounded) (b: Bounded) : Bounded =
    let value = a.Value / b.Value
    Bounded.Rounded(value, (a.Error + abs value * b.Error) / (b.Value - b.Error), 2.0)

let private sum (numbers: Bounded seq) = Seq.fold (+) Bounded.zero numbers

/// y, dq, dk and dv, each [samples, tokens, heads · features].
let private reference (c: AttentionCase) : (string * Bounded[]) list =
    let s = c.Shape
    let features = s.Heads * s.Features

    let exact (numbers: float32[]) =
        numbers |> Array.map (float >> Bounded.exact)

    let q, k, v, dy = exact c.Query, exact c.Key, exact c.Value, exact c.DY

    let y, dq =
        q |> Array.map (fun _ -> Bounded.zero), q |> Array.map (fun _ -> Bounded.zero)

    let dk, dv =
        k |> Array.map (fun _ -> Bounded.zero), k |> Array.map (fun _ -> Bounded.zero)

    let scale = Bounded.Rounded(1.0 / sqrt (float s.Features), 0.0, 2.0)

    for sample in 0 .. s.Samples - 1 do
        for head in 0 .. s.Heads - 1 do
            let at (tokens: int) token f =
                (sample * tokens + token) * features + head * s.Features + f

            for i in 0 .. s.Queries - 1 do
                let ofQuery, ofKey = at s.Queries i, at s.Keys

                let scores =
                    [| for j in 0 .. s.Seen i - 1 ->
                           scale * sum [ for f in 0 .. s.Features - 1 -> q[ofQuery f] * k[ofKey j f] ] |]

                /// A weight that a dropout multiplies.
                let dropped (j: int) (p: Bounded) =
                    if s.Drop.IsNone then
                        p
                    else
                        let row = int64 (sample * s.Heads + head) * int64 s.Queries + int64 i

                        p
                        * Bounded.exact (float (DropoutTests.factor s.Drop (row * int64 s.Keys + int64 j)))

                let largest = scores |> Array.maxBy _.Value
                let e = scores |> Array.map (fun x -> exponential (x + -largest))
                let total = sum e

                for f in 0 .. s.Features - 1 do
                    y[ofQuery f] <- quotient (sum (Array.mapi (fun j p -> dropped j p * v[ofKey j f]) e)) total

                // The backward computes the weights from the logarithm of the sum.
                let logarithm =
                    largest
                    + Bounded.Rounded(log total.Value, total.Error / (total.Value - total.Error), 2.0)

                let weights =
                    scores
                    |> Array.map (fun x ->
                        let power = x + -logarithm

                        { exponential power with
                            Value = exp power.Value })

                let mean = sum [ for f in 0 .. s.Features - 1 -> y[ofQuery f] * dy[ofQuery f] ]

                weights
                |> Array.iteri (fun j p ->
                    let ofWeight = sum [ for f in 0 .. s.Features - 1 -> dy[ofQuery f] * v[ofKey j f] ]
                    let ofScore = p * scale * (dropped j ofWeight + -mean)

                    for f in 0 .. s.Features - 1 do
                        dq[ofQuery f] <- dq[ofQuery f] + ofScore * k[ofKey j f]
                        dk[ofKey j f] <- dk[ofKey j f] + ofScore * q[ofQuery f]
                        dv[ofKey j f] <- dv[ofKey j f] + dropped j p * dy[ofQuery f])

    [ "y", y; "dq", dq; "dk", dk; "dv", dv ]

let private computed (width: Width) (threads: int) (c: AttentionCase) : (string * float32[]) list =
    let policy = CpuSpmm.machineOf width threads
    let s = c.Shape
    let features = s.Heads * s.Features

    /// Three tensors in one, or apart.
    let tensors (parts: float32[] list) =
        if c.IsPacked then
            let all =
                new Guarded(
                    [| for token in 0 .. s.Samples * s.Queries - 1 do
                           for part in parts do
                               yield! part[token * features .. (token + 1) * features - 1] |]
                )

            [ all ],
            [ for part in 0..2 ->
                  { Data = NativeInterop.NativePtr.add all.Address (part * features)
                    OfToken = 3 * features
                    OfSample = int64 (3 * features * s.Queries) } ]
        else
            let apart = parts |> List.map (fun part -> new Guarded(part))

            apart,
            [ for g, tokens in List.zip apart [ s.Queries; s.Keys; s.Keys ] ->
                  { Data = g.Address
                    OfToken = features
                    OfSample = int64 (features * tokens) } ]

    let own (numbers: float32[]) =
        let g = new Guarded(numbers)

        g,
        { Data = g.Address
          OfToken = features
          OfSample = int64 (features * s.Queries) }

    let given, operands = tensors [ c.Query; c.Key; c.Value ]
    let y, toY = own (garbage c.Query.Length)
    let dy, ofDY = own c.DY
    use logarithms = new Guarded(garbage (s.Samples * s.Heads * s.Queries))
    AttentionForward.run policy s operands[0] operands[1] operands[2] toY logarithms.Address

    let gradients, into =
        tensors [ garbage c.Query.Length; garbage c.Key.Length; garbage c.Value.Length ]

    AttentionBackward.run
        policy
        s
        { Query = operands[0]
          Key = operands[1]
          Value = operands[2]
          Output = toY
          Logarithms = logarithms.Address }
        ofDY
        into[0]
        into[1]
        into[2]

    for g in y :: dy :: logarithms :: given @ gradients do
        g.CheckMargins $"{c}"

    let results =
        if c.IsPacked then
            let all = gradients.Head.Values

            [ for part in 0..2 ->
                  [| for token in 0 .. s.Samples * s.Queries - 1 do
                         yield! all[(3 * token + part) * features .. (3 * token + part + 1) * features - 1] |] ]
        else
            gradients |> List.map _.Values

    let named = List.zip [ "y"; "dq"; "dk"; "dv" ] (y.Values :: results)

    for g in y :: dy :: given @ gradients do
        (g :> IDisposable).Dispose()

    named

[<Tests>]
let tests =
    testList
        "Attention kernels"
        [ for width in CpuSpmm.widths do
              testPropertyWithConfig
                  { FsCheckConfig.defaultConfig with
                      maxTest = 40 }
                  $"agree with the operations in float64, width {width}"
                  (Prop.forAll (Arb.fromGen (Gen.choose (0, 1_000_000))) (fun seed ->
                      let c = drawn seed

                      for (name, wanted), (_, got) in List.zip (reference c) (computed width 1 c) do
                          for i in 0 .. wanted.Length - 1 do
                              let w = wanted[i]

                              if not (abs (float got[i] - w.Value) <= w.Error) then
                                  failtest $"{name}[{i}]: expected {w.Value} within {w.Error}, got {got[i]}, of {c}"))

          test "do not depend on the number of threads, to the bit" {
              for seed in 1..10 do
                  let c = drawn seed
                  let one = computed CpuSpmm.widest 1 c

                  for threads in [ 2; 3 ] do
                      for (name, a), (_, b) in List.zip one (computed CpuSpmm.widest threads c) do
                          Expect.equal b a $"{name} of {c}, {threads} threads"
          }

          test "NaN among queries stays in their rows, at every width" {
              for width in CpuSpmm.widths do
                  let c =
                      { drawn 7 with
                          Shape =
                              { Samples = 1
                                Heads = 1
                                Queries = 20
                                Keys = 20
                                Features = 8
                                IsCausal = true
                                Drop = DropoutDraw.None }
                          IsPacked = false
                          Query = Array.init 160 (fun i -> if i / 8 = 5 then nanf else float32 (i % 7) / 7.0f)
                          Key = Array.init 160 (fun i -> float32 (i % 5) / 5.0f)
                          Value = Array.init 160 (fun i -> float32 (i % 3) / 3.0f)
                          DY = Array.create 160 1.0f }

                  let _, y = (computed width 1 c).Head

                  for i in 0..19 do
                      for f in 0..7 do
                          Expect.equal (Single.IsNaN y[i * 8 + f]) (i = 5) $"query {i}"
          } ]
