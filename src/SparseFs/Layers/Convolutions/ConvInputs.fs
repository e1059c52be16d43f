namespace SparseFs.Torch

open System
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>Inputs of convolutions, checked before anything is computed of them.</summary>
[<RequireQualifiedAccess>]
module internal ConvInputs =

    /// The most pixels of all channels of a sample, and the most samples.
    let most = int64 Int32.MaxValue

    let shown (sizes: int64 seq) : string =
        sizes |> Seq.map string |> String.concat ", "

    /// Refuses an input, by the shape in which the caller gave it.
    let refuse (layer: LayerName) (given: int64[]) (expected: string) =
        raise (ArgumentException($"{layer}: expected {expected}, got [{shown given}]", "x"))

    /// Three sizes, 1 in each dimension before a convolution's own.
    let extentOf (dimensions: int) (sizes: int64[]) : Extent =
        let at dimension =
            if dimension < 3 - dimensions then
                1
            else
                int sizes[dimension - (3 - dimensions)]

        Extent.of3 (at 0) (at 1) (at 2)

    /// The sizes of an input [N, in_channels, *], each below 2^31.
    let sizes (s: ConvSettings) (layer: LayerName) (x: torch.Tensor) (given: int64[]) : Extent =
        let refuse expected = refuse layer given expected
        let dimensions, channels = s.Dimensions, s.InChannels
        let sizes = x.shape

        if sizes.Length <> dimensions + 2 then
            let names = [ "D"; "H"; "W" ][3 - dimensions ..] |> String.concat ", "
            refuse $"[N, {channels}, {names}] or [{channels}, {names}]"

        if sizes[1] <> int64 channels then
            refuse $"{channels} channels (in_channels)"

        if sizes |> Array.exists (fun size -> size > most) then
            refuse "sizes below 2^31"

        extentOf dimensions sizes[2..]

    /// What errors say of sizes whose products would not fit the kernels' integers.
    [<Literal>]
    let TooLarge =
        "fewer than 2^31 numbers of a sample, with its padding and what the kernel spans, in all channels of input or output"

    /// [N, channels, *] with three sizes.
    let volumes (x: torch.Tensor) (size: Extent) : torch.Tensor =
        let shape = x.shape
        x.reshape [| shape[0]; shape[1]; int64 size.Depth; int64 size.Height; int64 size.Width |]

    /// Volumes [N, channels, depth, height, width] with so many dimensions as a convolution has.
    let ofVolumes (dimensions: int) (y: torch.Tensor) : torch.Tensor =
        let shape = y.shape
        y.view (Array.append shape[..1] shape[5 - dimensions ..])
