namespace SparseFs.Tests

/// <summary>A number, and how far from it a float32 computation may end, whatever the order of its sums.</summary>
/// <remarks>Running error analysis: Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.3, to first order. A sum's
/// additions are each charged with the size of all terms, which no order's partial sum exceeds (section 4.2).</remarks>
[<Struct; NoEquality; NoComparison>]
type Bounded =
    {
        Value: float
        /// The sum of its terms' absolute values.
        Size: float
        Error: float
    }

    static member (+)(a: Bounded, b: Bounded) : Bounded =
        let size = a.Size + b.Size

        { Value = a.Value + b.Value
          Size = size
          Error = a.Error + b.Error + Oracle.float32Roundoff * size }

    static member (*)(a: Bounded, b: Bounded) : Bounded =
        Bounded.Rounded(a.Value * b.Value, abs a.Value * b.Error + abs b.Value * a.Error + a.Error * b.Error, 1.0)

    static member (~-)(a: Bounded) : Bounded = { a with Value = -a.Value }

    /// A number that is off by so much before so many more roundings.
    static member Rounded(value: float, error: float, roundings: float) : Bounded =
        let error = error + roundings * Oracle.float32Roundoff * (abs value + error)

        { Value = value
          Size = abs value + error
          Error = error }

[<RequireQualifiedAccess>]
module Bounded =

    let exact (value: float) : Bounded =
        { Value = value
          Size = abs value
          Error = 0.0 }

    let zero = exact 0.0
