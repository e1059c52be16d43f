namespace SparseFs.Torch

open System.Threading
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A layer's parameters as they were at one time: handles of their own to them, for autograd, and to the storage
/// that they had, which products read.</summary>
/// <remarks>Whoever exchanges the parameters' storage makes these anew; whoever writes to it in place, as optimizers do,
/// is seen here.</remarks>
[<Sealed>]
type internal LayerNumbers(weight: Parameter, bias: Parameter | null) =
    // TorchSharp's alias is another handle of the same tensor.
    let own (p: Parameter) = p.alias().DetachFromDisposeScope()
    let storageOf (p: Parameter) = p.detach().DetachFromDisposeScope()

    let ofBias (make: Parameter -> torch.Tensor) : torch.Tensor | null =
        match bias with
        | null -> null
        | bias -> make bias

    let leaf, biasLeaf = own weight, ofBias own
    let values, biasValues = storageOf weight, ofBias storageOf
    let device = weight.device

    let address =
        // Tensors of other devices may have no address to ask for.
        if device.``type`` = DeviceType.CPU then
            NativeTensor.address leaf
        else
            0n

    let shared = SharedTensors [| leaf; biasLeaf; values; biasValues |]
    let mutable isSuperseded = 0

    /// The weight as autograd knows it: gradients that arrive here arrive at the Parameter.
    member _.Leaf: torch.Tensor = leaf

    /// As Leaf, of the bias; null without one.
    member _.BiasLeaf: torch.Tensor | null = biasLeaf

    /// The weight's numbers, [nnz], without a gradient.
    member _.Values: torch.Tensor = values

    /// The bias's, or null.
    member _.BiasValues: torch.Tensor | null = biasValues

    member val Dtype: torch.ScalarType = weight.dtype
    member _.Device: torch.Device = device

    /// Whether that is their device; TorchSharp's compare by reference.
    member _.IsOn(other: torch.Device) : bool =
        device.``type`` = other.``type`` && device.index = other.index

    /// Who computes with them, by the number of the arithmetic.
    member val Backends: Backends.OfPlace = Backends.ofPlace weight.dtype device.``type``

    /// How many numbers the weight has.
    member val Count: int64 = values.numel ()

    member _.Shared: SharedTensors = shared

    /// Why a backward with them failed, if one did, on whatever thread.
    member val Failure: BackwardFailure | null = null with get, set

    /// Whether the parameter is somewhere else now, without our having moved it.
    member _.IsAstray: bool = address <> 0n && NativeTensor.address leaf <> address

    /// Whether other weights, or weights of another pattern, have taken their place.
    member _.IsSuperseded: bool = Volatile.Read(&isSuperseded) = 1

    /// Others take their place; whoever reads the storage right now may read on.
    member _.Supersede() : unit =
        Volatile.Write(&isSuperseded, 1)
        Replaced.later shared
