namespace SparseFs.Torch

#nowarn "9"

open System
open Microsoft.FSharp.NativeInterop
open SparseFs
open SparseFs.Kernels
open TorchSharp

/// What the optimizers' steps have in common.
module internal FusedTensors =

    /// Where a tensor's numbers lie; null of one that is not there.
    let address (tensor: torch.Tensor | null) : nativeptr<float32> =
        match tensor with
        | null -> Pointer.nothing
        | tensor -> NativePtr.ofNativeInt (NativeGradient.address tensor.Handle)

    /// Whether a tensor beside a weight is plain; one that is not there is.
    let isPlain (tensor: torch.Tensor | null) (slots: int) : bool =
        match tensor with
        | null -> true
        | tensor -> NativeGradient.isPlain tensor.Handle (int64 slots)

    /// Whether a tensor that an option asks for is there, and plain: TorchSharp says what is wrong where it is not.
    let isPlainThere (tensor: torch.Tensor | null) (slots: int) : bool =
        not (isNull tensor) && isPlain tensor slots

    let signOf (maximize: Nullable<bool>) : float32 =
        if maximize.HasValue && maximize.Value then -1.0f else 1.0f

    /// <exception cref="T:System.ArgumentException">It is not above 0.</exception>
    let checkNorm (maxNorm: float option) : float =
        match maxNorm with
        | Some norm when not (norm > 0.0) ->
            raise (ArgumentException((invariant $"expected a norm above 0, got {norm}"), nameof maxNorm))
        | Some norm -> norm
        | None -> Double.PositiveInfinity
