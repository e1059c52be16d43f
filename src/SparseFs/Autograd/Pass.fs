namespace SparseFs.Torch

open TorchSharp

/// <summary>One backward pass of a layer.</summary>
/// <remarks>Copies: the tensors themselves may be changed, or freed, before the update.</remarks>
[<Sealed>]
type internal Pass(step: int64, g: torch.Tensor, x: torch.Tensor, sample: float[] | null) =
    /// The optimizer step that it belongs to.
    member _.Step = step

    /// Upstream gradients [n, rows]; of a convolution [n, out, depth, height, width].
    member _.G = g

    /// Inputs [n, cols]; of a convolution [n, in, depth, height, width].
    member _.X = x

    /// Its gradient at the slots that are compared; null where the pass has been settled.
    member _.Sample = sample

    /// Whether it is still to be settled.
    member _.IsOpen = not (isNull sample)

    member _.Settled = Pass(step, g, x, null)

    member _.Free() =
        g.Dispose()
        x.Dispose()

/// <summary>Numbers of a gradient by which passes are recognised in it.</summary>
module internal PassSample =

    /// Slots that are compared at most.
    let private compared = 4096L

    /// Numbers at slots that are the same for all gradients of one length.
    let ofGradient (gradient: torch.Tensor) : float[] =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let every = max 1L ((gradient.numel () + compared - 1L) / compared)

        let some = gradient.detach().slice(0L, 0L, gradient.numel (), every)

        some.cpu().to_type(torch.ScalarType.Float64).contiguous().data<float>().ToArray()

    /// How a dtype rounds.
    let rounding (dtype: torch.ScalarType) : float =
        match dtype with
        | torch.ScalarType.Float64 -> 2.0 ** -53.0
        | torch.ScalarType.Float16 -> 2.0 ** -11.0
        | torch.ScalarType.BFloat16 -> 2.0 ** -8.0
        | _ -> 2.0 ** -24.0
