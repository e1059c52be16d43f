namespace SparseFs.Kernels

#nowarn "9"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// One product of a chain: W [rows, cols] of values at a pattern, and a bias [rows] or null.
[<Struct>]
type internal ChainProduct =
    { Plan: SpmmPlan
      Values: nativeptr<float32>
      Bias: nativeptr<float32> }

/// A layer normalization; scale and shift [features] may be null for 1 and 0.
[<Struct>]
type internal ChainNorm =
    { Epsilon: float32
      Scale: nativeptr<float32>
      Shift: nativeptr<float32> }

/// <summary>What a chain is: a normalization or none, products, and an activation between each two of them.</summary>
[<NoEquality; NoComparison>]
type internal Chain =
    {
        Norm: ChainNorm voption
        Products: ChainProduct[]
        /// One fewer than the products.
        Activations: ChainActivation[]
    }

    member c.Inputs: int = c.Products[0].Plan.Connectivity.Cols
    member c.Outputs: int = c.Products[c.Products.Length - 1].Plan.Connectivity.Rows

    /// Inputs of the product that follows on another.
    member c.Hidden(index: int) : int =
        c.Products[index + 1].Plan.Connectivity.Cols

    /// The widest tile that there is in between.
    member c.Widest: int =
        c.Products
        |> Array.fold (fun most p -> max most (max p.Plan.Connectivity.Rows p.Plan.Connectivity.Cols)) 0

    member c.Slots: int64 =
        c.Products |> Array.sumBy (fun p -> int64 p.Plan.Connectivity.Nnz)

/// <summary>How a chain goes through a batch.</summary>
[<RequireQualifiedAccess>]
module internal ChainTiling =

    let ofBatch (width: Width) (chain: Chain) (n: int) : BatchTiling =
        // By the sides that lie in memory together, inputs and outputs of one product.
        BatchTiling.ofBatch width n chain.Widest

    /// Floats that a forward leaves for a backward: what each product but the last gives, tile behind tile.
    let tapeFloats (tiling: BatchTiling) (chain: Chain) : int64 =
        let wide =
            seq { 0 .. tiling.Tiles - 1 }
            |> Seq.sumBy (fun index -> int64 (tiling.Wide(tiling.Tile index)))

        chain.Products[.. chain.Products.Length - 2]
        |> Array.sumBy (fun p -> wide * int64 p.Plan.Connectivity.Rows)

    /// Where what a product gives of a tile lies on the tape.
    let tapePlace (tiling: BatchTiling) (chain: Chain) (tile: Tile) (product: int) : int64 =
        // Tiles before this one are whole ones, as wide as their samples.
        let before =
            chain.Products[.. chain.Products.Length - 2]
            |> Array.sumBy (fun p -> int64 tile.Sample * int64 p.Plan.Connectivity.Rows)

        let own =
            chain.Products[.. product - 1]
            |> Array.sumBy (fun p -> int64 (tiling.Wide tile) * int64 p.Plan.Connectivity.Rows)

        before + own
