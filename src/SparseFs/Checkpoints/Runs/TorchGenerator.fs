namespace SparseFs.Torch

open System
open System.Buffers.Binary
open SparseFs
open TorchSharp

/// <summary>The state of torch's random numbers on the CPU.</summary>
/// <remarks>libtorch's setter throws across the border of its library, which ends the process; and a place beyond the
/// state's 624 words would be read. So the bytes are checked before.</remarks>
module internal TorchGenerator =

    [<Literal>]
    let Name = "@torch.generator"

    /// The Mersenne Twister's words.
    let private words = 624L

    let read () : torch.Tensor = torch.get_rng_state ()

    let private isSound (bytes: byte[]) : bool =
        let left = int64 (BinaryPrimitives.ReadInt32LittleEndian(ReadOnlySpan(bytes, 8, 4)))

        let isSeeded =
            BinaryPrimitives.ReadInt32LittleEndian(ReadOnlySpan(bytes, 12, 4)) = 1

        let next = BinaryPrimitives.ReadUInt64LittleEndian(ReadOnlySpan(bytes, 16, 8))
        // A number is taken from place next once left - 1 is above 0, so that the two add up to 625 at most.
        isSeeded
        && left >= 1L
        && left <= words
        && next <= uint64 words
        && left + int64 next <= words + 1L

    let plan (loader: StagedLoad) : unit =
        use now = read ()

        match loader.Find Name with
        | ValueSome t when t.Dtype = Dtype.U8 && t.Shape = now.shape ->
            loader.Plan(fun () ->
                let state = loader.File.Read t

                if not (isSound (state.bytes.ToArray())) then
                    loader.File.Refuse(CheckpointProblem.Value, Name, "expected a state of torch's generator")

                fun () -> torch.set_rng_state state)
        | ValueSome t ->
            let expected = $"U8 {Shape.text now.shape}"
            loader.Wrong $"'{Name}': expected {expected}, got {t.Dtype} {Shape.text t.Shape}"
        | ValueNone -> ()
