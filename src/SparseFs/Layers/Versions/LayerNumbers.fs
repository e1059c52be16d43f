namespace SparseFs.Torch

open System.Threading
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>A layer's parameters as they were at one time: handles of their own to them, for autograd, and to the storage
/// that they had, which products read.</summary>
/// <remarks>Whoever exchanges the parameters' storage makes these anew; whoever writes to it in place, as optimizers do,
/// is seen here.</remarks>
[<Sealed; AllowNullLiteral>]
type internal LayerNumbers(weight: Parameter, bias: Parameter) =
    let own (p: Parameter) =
        if isNull p then
            null
        else
            p.alias().DetachFromDisposeScope() // TorchSharp's alias is another handle of the same tensor

    let storageOf (p: Parameter) =
        if isNull p then
            null
        else
            p.detach().DetachFromDisposeScope()

    let leaf, biasLeaf = own weight, own bias
    let values, biasValues = storageOf weight, storageOf bias
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
    member _.BiasLeaf: torch.Tensor = biasLeaf

    /// The weight's numbers, [nnz], without a gradient.
    member _.Values: torch.Tensor = values

    /// The bias's, or null.
    member _.BiasValues: torch.Tensor = biasValues

    member val Dtype: torch.ScalarType = weight.dtype
    member _.Device: torch.Device = device

    /// Whether that is their device; TorchSharp's compare by reference.
    member _.IsOn(other: torch.Device) : bool =
        device.``type`` = other.``type`` && device.index = other.index

    /// Who computes with them, by the number of the arithmetic.
    member val Backends: Backend[] = Backends.ofPlace weight.dtype device.``type``

    /// How many numbers the weight has.
    member val Count: int64 = values.numel ()

    member _.Shared: SharedTensors = shared

    /// Why a backward with them failed, if one did, on whatever thread.
    member val Failure: BackwardFailure = null with get, set

    /// Whether the parameter is somewhere else now, without our having moved it.
    member _.IsAstray: bool = address <> 0n && NativeTensor.address leaf <> address

    /// Whether other weights, or weights of another pattern, have taken their place.
    member _.IsSuperseded: bool = Volatile.Read(&isSuperseded) = 1

    /// Others take their place; whoever reads the storage right now may read on.
    member _.Supersede() : unit =
        Volatile.Write(&isSuperseded, 1)
        Replaced.later shared
