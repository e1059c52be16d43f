/// What the operations should give: dense loops in float64, and numbers that carry their own derivatives. Nothing here
/// calls the library but to read a pattern.
module SparseFs.Tests.Oracle

open SparseFs

/// The row and the column of each slot.
let slots (c: Connectivity) : (int * int)[] =
    let rowPtr, colIdx = c.RowPtr.ToArray(), c.ColIdx.ToArray()

    [| for row in 0 .. c.Rows - 1 do
           for slot in rowPtr[row] .. rowPtr[row + 1] - 1 -> row, colIdx[slot] |]

/// What the three operations need of a number; a float or one that carries derivatives.
type Ring<'T> =
    { Zero: 'T
      Add: 'T -> 'T -> 'T
      Multiply: 'T -> 'T -> 'T }

let private accumulate (ring: Ring<'T>) (sums: 'T[,]) i j a b =
    sums[i, j] <- ring.Add sums[i, j] (ring.Multiply a b)

/// y[n, r] = Σ values[s] · x[n, col s] over the slots s of row r.
let spmm (ring: Ring<'T>) (c: Connectivity) (values: 'T[]) (x: 'T[,]) : 'T[,] =
    let y = Array2D.create (Array2D.length1 x) c.Rows ring.Zero

    for s, (row, col) in Array.indexed (slots c) do
        for n in 0 .. Array2D.length1 x - 1 do
            accumulate ring y n row values[s] x[n, col]

    y

/// x[n, c] = Σ values[s] · g[n, row s] over the slots s of column c.
let spmmT (ring: Ring<'T>) (c: Connectivity) (values: 'T[]) (g: 'T[,]) : 'T[,] =
    let x = Array2D.create (Array2D.length1 g) c.Cols ring.Zero

    for s, (row, col) in Array.indexed (slots c) do
        for n in 0 .. Array2D.length1 g - 1 do
            accumulate ring x n col values[s] g[n, row]

    x

/// d[s] = Σ g[n, row s] · x[n, col s] over the samples n.
let sddmm (ring: Ring<'T>) (c: Connectivity) (g: 'T[,]) (x: 'T[,]) : 'T[] =
    [| for row, col in slots c do
           Seq.fold
               (fun sum n -> ring.Add sum (ring.Multiply g[n, row] x[n, col]))
               ring.Zero
               (seq { 0 .. Array2D.length1 x - 1 }) |]

let floats: Ring<float> =
    { Zero = 0.0
      Add = (+)
      Multiply = (*) }

/// a + b ε₁ + c ε₂ + d ε₁ε₂ with ε₁² = ε₂² = 0: a value, its derivatives along two directions, and the mixed second one.
/// Fike and Alonso, "The development of hyper-dual numbers for exact second-derivative calculations", AIAA 2011-886.
[<Struct>]
type HyperDual =
    { Value: float
      D1: float
      D2: float
      D12: float }

let hyperDuals: Ring<HyperDual> =
    { Zero =
        { Value = 0.0
          D1 = 0.0
          D2 = 0.0
          D12 = 0.0 }
      Add =
        fun a b ->
            { Value = a.Value + b.Value
              D1 = a.D1 + b.D1
              D2 = a.D2 + b.D2
              D12 = a.D12 + b.D12 }
      Multiply =
        fun a b ->
            { Value = a.Value * b.Value
              D1 = a.D1 * b.Value + a.Value * b.D1
              D2 = a.D2 * b.Value + a.Value * b.D2
              D12 = a.D12 * b.Value + a.D1 * b.D2 + a.D2 * b.D1 + a.Value * b.D12 } }

/// A float32 sum of k products is within γ(k) · Σ |products| of the exact one, in whatever order it is taken:
/// Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, sections 3.1 and 4.2, γ(k) = k·u / (1 − k·u).
let gamma (unitRoundoff: float) (k: int) : float =
    let ku = float k * unitRoundoff
    ku / (1.0 - ku)

let float32Roundoff = 2.0 ** -24.0
