namespace SparseFs.Kernels

open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86

/// The widths that a kernel can run at, by their lanes.
type internal Width =
    | Scalar = 1
    | V128 = 4
    | V256 = 8
    | V512 = 16

/// <summary>The widths that this machine has: where instruction sets are tested for.</summary>
/// <remarks>A call takes its width from here or from a test that forces it. Beside this list, Simd128 asks for SSE's shuffles
/// and Pointer.hasPrefetch for the instruction: neither changes a result.</remarks>
module internal Widths =

    /// The widest last.
    let ofMachine: Width list =
        [ Width.Scalar
          if Vector128.IsHardwareAccelerated then
              Width.V128
          if Avx2.IsSupported && Fma.IsSupported then
              Width.V256
          if Avx512F.IsSupported && Vector512.IsHardwareAccelerated then
              Width.V512 ]

    let widest: Width = List.last ofMachine
