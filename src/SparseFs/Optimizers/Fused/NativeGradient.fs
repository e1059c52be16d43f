namespace SparseFs.Torch

open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open TorchSharp

/// What TorchSharp's library tells of tensors by their handles: nothing is allocated that .NET would have to collect.
module private Sharp =

    [<DllImport(LibTorch.Sharp, EntryPoint = "THSTensor_grad")>]
    extern nativeint gradient(nativeint tensor)

    [<DllImport(LibTorch.Sharp, EntryPoint = "THSTensor_dispose")>]
    extern void dispose(nativeint tensor)

    [<DllImport(LibTorch.Sharp, EntryPoint = "THSTensor_numel")>]
    extern int64 numel(nativeint tensor)

    [<DllImport(LibTorch.Sharp, EntryPoint = "THSTensor_ndimension")>]
    extern int64 dimensions(nativeint tensor)

    [<DllImport(LibTorch.Sharp, EntryPoint = "THSTensor_type")>]
    extern sbyte dtype(nativeint tensor)

    [<DllImport(LibTorch.Sharp, EntryPoint = "THSTensor_device_type")>]
    extern int deviceType(nativeint tensor)

    [<DllImport(LibTorch.Sharp, EntryPoint = "THSTensor_is_sparse")>]
    extern byte isSparse(nativeint tensor)

    [<DllImport(LibTorch.Sharp, EntryPoint = "THSTensor_is_contiguous")>]
    extern byte isContiguous(nativeint tensor)

/// <summary>Gradients and other tensors by handle, for steps that leave no garbage.</summary>
module internal NativeGradient =

    let private functions =
        [ "grad"
          "dispose"
          "numel"
          "ndimension"
          "type"
          "device_type"
          "is_sparse"
          "is_contiguous"
          "data" ]

    /// Whether this TorchSharp's library has all of it; of one that has not, TorchSharp steps.
    let isThere: bool =
        LibTorch.exports.Value |> ignore
        functions |> List.forall (fun name -> LibTorch.sharpHas $"THSTensor_{name}")

    /// A parameter's gradient, a new handle that is to be released; 0 where it has none.
    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let handleOf (p: torch.Tensor) : nativeint = Sharp.gradient p.Handle

    /// Lets go of a handle that <c>handleOf</c> gave.
    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let release (handle: nativeint) : unit = Sharp.dispose handle

    /// Whether a tensor is so many floats, one behind the other, in this process's memory.
    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let isPlain (handle: nativeint) (length: int64) : bool =
        Sharp.dtype handle = sbyte torch.ScalarType.Float32
        && Sharp.deviceType handle = int DeviceType.CPU
        && Sharp.isSparse handle = 0uy
        && Sharp.isContiguous handle <> 0uy
        && Sharp.numel handle = length

    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let length (t: torch.Tensor) : int64 = Sharp.numel t.Handle

    /// Whether a tensor has a first dimension.
    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let hasDimensions (t: torch.Tensor) : bool = Sharp.dimensions t.Handle > 0L

    [<MethodImpl(MethodImplOptions.NoInlining)>]
    let address (handle: nativeint) : nativeint = LibTorch.data handle
