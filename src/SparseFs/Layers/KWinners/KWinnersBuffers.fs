namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>The buffers of a K-winners layer, by handles of their own, as one call uses them.</summary>
[<Sealed>]
type internal KWinnersBuffers(dutyCycle: torch.Tensor, samplesSeen: torch.Tensor, boostStrength: torch.Tensor) =
    let own (t: torch.Tensor) = t.alias().DetachFromDisposeScope()

    let dutyCycle, samplesSeen, boostStrength =
        own dutyCycle, own samplesSeen, own boostStrength

    let shared = SharedTensors [| dutyCycle; samplesSeen; boostStrength |]

    let backend =
        (Backends.ofPlace torch.ScalarType.Float32 dutyCycle.device_type)[int Arithmetic.Sparse]

    /// [units], float32.
    member _.DutyCycle: torch.Tensor = dutyCycle

    /// One int64.
    member _.SamplesSeen: torch.Tensor = samplesSeen

    /// One float32.
    member _.BoostStrength: torch.Tensor = boostStrength

    member _.Shared: SharedTensors = shared

    /// strength · (target − duty cycle), [units] of float32, on the buffers' device.
    member _.Deficit(target: float) : torch.Tensor =
        use _ = torch.no_grad ()
        backend.DutyDeficit dutyCycle boostStrength target

    /// Takes in the wins of a batch, [units] of integers, of so many samples and places in each; in the caller's DisposeScope.
    member _.Note(rule: DutyCycle, samples: int, places: int, wins: torch.Tensor) : unit =
        use _ = torch.no_grad ()

        let weight =
            match rule with
            | DutyCycle.Alpha alpha -> alpha
            | rule -> DutyCycle.weight rule (samplesSeen.item<int64>() + int64 samples) samples

        backend.DutyUpdate dutyCycle wins (float samples * float places) weight
        samplesSeen.add_ (Scalars.Of(int64 samples)) |> ignore

    /// What is wrong with numbers that are to become a buffer's.
    static member WrongNumbers(key: string, tensor: torch.Tensor) : string voption =
        use _ = torch.NewDisposeScope()

        let outside (expected: string) (holds: float -> bool) =
            tensor.cpu().to_type(torch.ScalarType.Float64).reshape(-1L).data<float>().ToArray()
            |> Array.tryFind (holds >> not)
            |> Option.map (fun number -> $"expected {expected}, got {number}")
            |> ValueOption.ofOption

        match key with
        | "duty_cycle" -> outside "numbers in [0, 1]" (fun d -> d >= 0.0 && d <= 1.0)
        | "samples_seen" -> outside "a count in 0..2^53" (fun n -> n >= 0.0 && n <= 9007199254740992.0)
        | "boost_strength" -> outside "a finite number, 0 or more" (fun s -> s >= 0.0 && Double.IsFinite s)
        | _ -> ValueNone
