namespace SparseFs.Torch

open System
open TorchSharp

/// Running means under a step count that is not that of young slots.
module internal RunningMean =

    /// From here on a correction is lost in the rounding of float32.
    let private lost = 2.0 ** -25.0

    /// The age at which the mean of a slot no longer differs from that of an old one.
    let youth (beta: float) : int64 =
        if beta <= 0.0 then
            0L
        else
            int64 (Math.Ceiling(max 0.0 (Math.Log(lost / (1.0 - beta)) / Math.Log beta)))

    /// 1 − β^steps.
    let correction (beta: float) (steps: int64) : float = 1.0 - Math.Pow(beta, float steps)

    /// <summary>What changes young slots' stored means before a step: x + (given · y − taken · x).</summary>
    /// <param name="beta">The mean's decay, in [0, 1).</param>
    /// <param name="steps">Steps that the optimizer has taken.</param>
    /// <param name="ages">Steps that the slots have taken.</param>
    /// <returns>taken and given of each age; y is what the optimizer adds to the mean.</returns>
    let coefficients (beta: float) (steps: int64) (ages: int64[]) : struct (float * float)[] =
        let youth = youth beta
        let power = Math.Pow(beta, float steps) // of the optimizer
        let grows = (1.0 - beta * power) / (1.0 - power)

        ages
        |> Array.map (fun age ->
            if age >= steps || age >= youth then
                struct (0.0, 0.0)
            else
                let own = Math.Pow(beta, float age)
                let after = 1.0 - beta * own
                struct (1.0 - grows * (1.0 - own) / after, (own - power) * (1.0 - beta) / after))

    /// The change, by torch's operations.
    let change (young: YoungSlots) (beta: float) (steps: int64) (mean: torch.Tensor) (y: torch.Tensor) : unit =
        let coefficients = coefficients beta steps young.Ages

        let taken =
            young.Numbers(coefficients |> Array.map (fun (struct (taken, _)) -> taken))

        let given =
            young.Numbers(coefficients |> Array.map (fun (struct (_, given)) -> given))

        let x = young.Of mean
        young.Put(mean, x + (given * y - taken * x))
