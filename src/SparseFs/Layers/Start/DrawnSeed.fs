namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>A seed where the caller gives none: one number of 63 bits from torch's generator on the CPU, so that
/// torch.manual_seed governs it.</summary>
module internal DrawnSeed =

    /// From a generator, or from torch's own.
    let draw (generator: torch.Generator | null) : Seed =
        use number =
            torch.randint (Int64.MaxValue, [| 1L |], dtype = torch.int64, device = torch.CPU, generator = generator)

        Seed.ofInt64 (number.item<int64>())

    /// The seed that is given; nothing is drawn then.
    let orDraw (given: Seed option) : Seed =
        match given with
        | Some seed -> seed
        | None -> draw null
