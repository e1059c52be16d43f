namespace SparseFs.Inference

open System
open SparseFs
open SparseFs.Kernels

/// <summary>Numbers of one call: an array for each buffer that the compiler has planned, for so many samples.</summary>
[<Sealed>]
type internal Workspace(sizes: int64[]) =
    let mutable samples = 0
    let buffers: float32[][] = sizes |> Array.map (fun _ -> [||])

    /// Makes room for so many samples, which stays.
    member _.Reserve(wanted: int) =
        if wanted > samples then
            for i in 0 .. sizes.Length - 1 do
                let room = Elements.room (sizes[i] * int64 wanted)

                if room > int64 Array.MaxLength then
                    let most = int64 Array.MaxLength / sizes[i]

                    raise (
                        ArgumentException(
                            invariant
                                $"expected at most {most} samples in a call, got {wanted}: divide them among calls",
                            "samples"
                        )
                    )

                buffers[i] <- GC.AllocateUninitializedArray(int room, pinned = true)

            samples <- wanted

    member _.Buffer(index: int) : float32[] = buffers[index]

/// <summary>What a compiled network does, one after the other; immutable, and for any number of threads.</summary>
[<AbstractClass>]
type internal Step() =
    abstract Run: w: Workspace * samples: int -> unit

/// Numbers of a buffer, each by itself.
[<Sealed>]
type internal ElementStep(buffer: int, size: int, operator': string, number: float) =
    inherit Step()

    override _.Run(w, samples) =
        let x, count = w.Buffer buffer, samples * size
        let own = x.AsSpan(0, count)

        match operator' with
        | "relu" -> Elements.activate ChainActivation.Relu x count
        | "gelu" -> Elements.activate ChainActivation.Gelu x count
        | "gelu_tanh" -> Elements.activate ChainActivation.GeluTanh x count
        | "silu" -> Elements.activate ChainActivation.Silu x count
        | "sigmoid" -> Elements.sigmoid own
        | "tanh" -> Elements.tanh own
        | _ -> Elements.leakyRelu (float32 number) own

/// Rows of a buffer, each by itself.
[<Sealed>]
type internal RowStep
    (buffer: int, rows: int, features: int, operator': string, epsilon: float, weight: float32[], bias: float32[]) =
    inherit Step()

    override _.Run(w, samples) =
        let x = w.Buffer buffer

        for row in 0 .. samples * rows - 1 do
            let own = x.AsSpan(row * features, features)

            match operator' with
            | "softmax" -> Elements.softmax own
            | "log_softmax" -> Elements.logSoftmax own
            | "layer_norm" -> Elements.layerNorm epsilon weight bias own
            | _ -> Elements.affine weight bias own

/// <summary>y = x · Wᵀ + bias, of rows of a buffer into another one.</summary>
/// <param name="kernels">On whose threads.</param>
/// <param name="plan">The pattern's.</param>
/// <param name="from">The buffer of inputs.</param>
/// <param name="into">That of outputs.</param>
/// <param name="rows">Rows of a sample.</param>
/// <param name="values">In slot order.</param>
/// <param name="bias">Empty for none.</param>
[<Sealed>]
type internal ProductStep
    (kernels: CpuKernels, plan: SpmmPlan, from: int, into: int, rows: int, values: float32[], bias: float32[]) =
    inherit Step()
    let cols, outputs = plan.Connectivity.Cols, plan.Connectivity.Rows
    // Others while the network is compiled, never afterwards.
    let mutable values = values
    let mutable bias = bias

    member _.Pattern: Connectivity = plan.Connectivity

    /// Multiplies each output by a factor and adds a shift: what a batch norm does.
    member _.Fold(factors: float32[], shifts: float32[]) =
        let rowPtr = plan.Connectivity.RowPtrArray
        values <- Array.copy values // others may have them too

        for row in 0 .. outputs - 1 do
            for slot in rowPtr[row] .. rowPtr[row + 1] - 1 do
                values[slot] <- values[slot] * factors[row]

        bias <-
            Array.init outputs (fun row -> (if bias.Length = 0 then 0.0f else bias[row] * factors[row]) + shifts[row])

    override _.Run(w, samples) =
        let n = samples * rows

        kernels.Spmm(
            plan,
            ReadOnlySpan values,
            ReadOnlySpan bias,
            ReadOnlySpan(w.Buffer from, 0, n * cols),
            n,
            Span(w.Buffer into, 0, n * outputs)
        )
