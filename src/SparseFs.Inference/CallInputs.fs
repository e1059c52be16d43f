namespace SparseFs.Inference

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open SparseFs

/// <summary>Inputs and outputs of a call, checked and copied.</summary>
[<RequireQualifiedAccess>]
module internal CallInputs =

    let refuse (name: string) (message: string) : 'a =
        raise (ArgumentException(message, name))

    /// <summary>How many tokens each sample has; 1 where the network has none.</summary>
    /// <param name="port">The input.</param>
    /// <param name="length">Its numbers, of all samples.</param>
    /// <param name="samples">1 or more.</param>
    let tokensOf (port: NetworkPort) (length: int) (samples: int) : int =
        let size = int64 samples * port.Size

        if port.Shape.HasTokens then
            let tokens = int64 length / size

            if tokens < 1L || tokens * size <> int64 length then
                refuse
                    (nameof samples)
                    (invariant
                        $"expected {samples} samples of 1 token or more of {port.Size} numbers, got {length} numbers")

            int tokens
        elif int64 length <> size then
            refuse (nameof samples) (invariant $"expected {samples} samples of {port.Size} numbers, got {length}")
        else
            1

    /// A call of no samples.
    let checkNone (samples: int) (length: int) (results: int) : unit =
        if samples < 0 then
            refuse (nameof samples) (invariant $"expected 0 samples or more, got {samples}")

        if length <> 0 || results <> 0 then
            refuse "results" (invariant $"expected no numbers of no samples, got {length} and room for {results}")

    /// Room for results, as long as it has to be.
    let checkResults (port: NetworkPort) (w: Workspace) (length: int) : unit =
        let rows = w.Rows port.Shape.HasTokens

        if int64 length <> int64 rows * port.Size then
            refuse "results" (invariant $"expected room for {rows} · {port.Size} numbers, got {length}")

    /// Numbers into the buffer of an input, normalized.
    let floats (port: NetworkPort) (x: ReadOnlySpan<float32>) (buffer: float32[]) : unit =
        if port.IsTokens then
            refuse
                "samples"
                (invariant $"expected tokens as '{port.Name}', which is {PortDtypes.text port.Dtype}, got float32")

        let own = buffer.AsSpan(0, x.Length)
        x.CopyTo own

        if port.Mean <> 0.0 || port.Deviation <> 1.0 then
            Elements.scale (float32 (1.0 / port.Deviation)) (float32 (-port.Mean / port.Deviation)) own

    let private checkTokens (port: NetworkPort) : unit =
        if not port.IsTokens then
            refuse "tokens" (invariant $"expected numbers of float32 as '{port.Name}', got tokens")

    /// Tokens into the buffer of an input, as whole numbers of 32 bits.
    let tokens32 (port: NetworkPort) (x: ReadOnlySpan<int>) (buffer: float32[]) : unit =
        checkTokens port
        x.CopyTo(MemoryMarshal.Cast<float32, int>(buffer.AsSpan()))

    /// As tokens32.
    let tokens64 (port: NetworkPort) (x: ReadOnlySpan<int64>) (buffer: float32[]) : unit =
        checkTokens port
        let own = MemoryMarshal.Cast<float32, int>(buffer.AsSpan())

        for i in 0 .. x.Length - 1 do
            let token = x[i]
            // What no table has stays what no table has.
            own[i] <-
                if token < 0L || token > int64 Int32.MaxValue then
                    -1
                else
                    int token

/// <summary>Inputs by their names.</summary>
[<RequireQualifiedAccess>]
module internal NamedInputs =

    /// The shape of a port, of so many samples of so many tokens.
    let shapeOf (port: NetworkPort) (samples: int) (tokens: int) : int[] =
        [| samples
           if port.Shape.HasTokens then
               tokens
           yield! port.Shape.Sizes |]

    /// <summary>The samples that all inputs have, and their tokens.</summary>
    /// <exception cref="T:System.ArgumentException">An input is missing, is none of the network's, or has another shape.</exception>
    let check (ports: NetworkPort[]) (inputs: IReadOnlyDictionary<string, ModelTensor>) : struct (int * int) =
        for name in inputs.Keys do
            if not (ports |> Array.exists (fun p -> p.Name = name)) then
                let known = String.Join(", ", ports |> Array.map _.Name)
                CallInputs.refuse "inputs" (invariant $"expected {known}, got '{name}'")

        let given (port: NetworkPort) =
            match inputs.TryGetValue port.Name with
            | true, tensor when not (isNull (box tensor)) -> tensor
            | _ -> CallInputs.refuse "inputs" (invariant $"expected an input '{port.Name}', got none")

        let sizeOf (tensor: ModelTensor) (dimension: int) =
            if dimension < tensor.Shape.Count then
                tensor.Shape[dimension]
            else
                0

        let samples = sizeOf (given ports[0]) 0

        let tokens =
            match ports |> Array.tryFind _.Shape.HasTokens with
            | Some port -> sizeOf (given port) 1
            | None -> 1

        for port in ports do
            let tensor, expected = given port, shapeOf port samples tokens

            if Array.ofSeq tensor.Shape <> expected || (tokens < 1 && samples > 0) then
                let wanted = String.Join(", ", expected)
                CallInputs.refuse "inputs" (invariant $"expected [{wanted}] as '{port.Name}', got {tensor}")

        struct (samples, tokens)
