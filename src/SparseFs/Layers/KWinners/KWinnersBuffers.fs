namespace SparseFs

open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp

/// <summary>The buffers of a K-winners layer, by handles of their own, as one call uses them.</summary>
[<Sealed>]
type internal KWinnersBuffers(dutyCycle: torch.Tensor, samplesSeen: torch.Tensor, boostStrength: torch.Tensor) =
    let own (t: torch.Tensor) = t.alias().DetachFromDisposeScope()

    let dutyCycle, samplesSeen, boostStrength =
        own dutyCycle, own samplesSeen, own boostStrength

    let shared = SharedTensors [| dutyCycle; samplesSeen; boostStrength |]
    let units = int dutyCycle.shape[0]

    /// [units], float32.
    member _.DutyCycle: torch.Tensor = dutyCycle

    /// One int64.
    member _.SamplesSeen: torch.Tensor = samplesSeen

    /// One float32.
    member _.BoostStrength: torch.Tensor = boostStrength

    member _.Shared: SharedTensors = shared

    /// strength · (target − duty cycle), [units] of float32, on the buffers' device.
    member _.Lack(target: float) : torch.Tensor =
        use _ = torch.no_grad ()

        if dutyCycle.device_type = DeviceType.CPU then
            let terms = torch.empty (int64 units, dtype = torch.float32, device = torch.CPU)
            let strength = boostStrength.item<float32>()

            DutyCycleUpdate.lack
                (TensorView.floats "duty_cycle" dutyCycle)
                (float32 target)
                strength
                units
                (TensorView.floats "terms" terms)

            terms
        else
            use target = target.ToScalar()
            dutyCycle.neg().add_(target).mul_ boostStrength

    /// Takes in the wins of a batch, [units] of integers, of so many samples and places in each.
    member _.Note(rule: DutyCycle, samples: int, places: int, wins: torch.Tensor) : unit =
        use _ = torch.no_grad ()

        let weight =
            match rule with
            | DutyCycle.Alpha alpha -> alpha
            | rule -> DutyCycle.weight rule (samplesSeen.item<int64>() + int64 samples) samples

        let all = float samples * float places

        if dutyCycle.device_type = DeviceType.CPU && wins.dtype = torch.ScalarType.Int32 then
            DutyCycleUpdate.note
                (TensorView.ints "wins" wins)
                (float32 all)
                (float32 weight)
                units
                (TensorView.floats "duty_cycle" dutyCycle)
        else
            use all = all.ToScalar()
            use number = weight.ToScalar()

            use weight =
                torch.full ([||], number, dtype = torch.float32, device = dutyCycle.device)

            dutyCycle.lerp_ (wins.to_type(torch.ScalarType.Float32).div_ all, weight)
            |> ignore

        use samples = samples.ToScalar()
        samplesSeen.add_ samples |> ignore
