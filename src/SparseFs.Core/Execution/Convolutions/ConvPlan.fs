namespace SparseFs.Kernels

open System
open System.Collections.Concurrent
open System.Runtime.CompilerServices
open System.Threading
open SparseFs

/// <summary>A convolution's pattern with its sizes, and what its products need for each size of input that it has met.</summary>
/// <remarks>Immutable to its users, and for any number of threads. The stencils of the last sizes are kept: 4 bytes a slot for the
/// convolution, 8 for its transpose, or for the convolution in the order of cells.</remarks>
[<Sealed>]
type internal ConvPlan(pattern: Connectivity, geometry: ConvGeometry) =
    // The `lazy` of F# cannot be trimmed.
    let rowGroup =
        Lazy<int>(fun () ->
            let group = RowGroups.ofKernels pattern.RowPtrArray pattern.ColIdxArray
            // A group of rows has the inputs of one group of channels.
            let outputs = geometry.OutChannels / geometry.Groups

            if geometry.Groups = 1 || outputs % group = 0 then group
            elif outputs % 2 = 0 then min group 2
            else 1)

    let mutable forward: (Extent * Stencil) list = []
    let mutable byCell: (Extent * Stencil) list = []
    let mutable transposed: (Extent * Stencil) list = []

    /// Sizes whose stencils are kept.
    static let kept = 4

    static let find (cache: byref<(Extent * Stencil) list>) (size: Extent) : Stencil voption =
        match Volatile.Read &cache |> List.tryFind (fun (s, _) -> s = size) with
        | Some(_, stencil) -> ValueSome stencil
        | None -> ValueNone

    static let keep (cache: byref<(Extent * Stencil) list>) (size: Extent) (stencil: Stencil) : Stencil =
        // Two that make one at once make the same; a lost one is made again.
        Volatile.Write(&cache, (size, stencil) :: List.truncate (kept - 1) (Volatile.Read &cache))
        stencil

    member _.Pattern: Connectivity = pattern
    member _.Geometry: ConvGeometry = geometry
    member _.RowGroup: int = rowGroup.Value

    /// The plan for inputs of a size: this one, but where a stride exceeds them.
    member plan.For(input: Extent) : ConvPlan =
        let own = geometry.For input
        if own = geometry then plan else ConvPlan(pattern, own)

    /// The convolution of inputs of a size.
    member _.Forward(input: Extent) : Stencil =
        match find &forward input with
        | ValueSome stencil -> stencil
        | ValueNone -> keep &forward input (Stencil.ofForward geometry pattern rowGroup.Value input)

    /// The convolution of inputs of a size, whose rows' slots are in the order of cells.
    member plan.ByCell(input: Extent) : Stencil =
        match find &byCell input with
        | ValueSome stencil -> stencil
        | ValueNone -> keep &byCell input (Stencil.byCell geometry pattern (plan.Forward input))

    /// The transpose, to inputs of a size.
    member _.Transposed(input: Extent) : Stencil =
        match find &transposed input with
        | ValueSome stencil -> stencil
        | ValueNone -> keep &transposed input (Stencil.ofTranspose geometry pattern input)

/// <summary>Plans of convolutions, one for each pattern and its sizes.</summary>
/// <remarks>Held weakly: they live as long as their pattern, and go with it.</remarks>
module internal ConvPlans =

    let private cache =
        ConditionalWeakTable<Connectivity, ConcurrentDictionary<ConvGeometry, ConvPlan>>()

    /// The plan of a pattern in a convolution, made once for as long as the pattern lives.
    let planOf (pattern: Connectivity) (geometry: ConvGeometry) : ConvPlan =
        let plans = cache.GetValue(pattern, (fun _ -> ConcurrentDictionary()))
        plans.GetOrAdd(geometry, (fun geometry -> ConvPlan(pattern, geometry)))
