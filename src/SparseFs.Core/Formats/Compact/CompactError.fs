namespace SparseFs

/// What is wrong with a stored pattern: in which of its tensors, where, what was expected and what came.
[<NoComparison>]
type internal CompactError =
    {
        /// counts, columns, or pattern for what a description says of it.
        Role: string
        /// A byte of the tensor.
        At: int64
        Expected: string
        Got: string
    }

    member e.Message =
        if e.Role = "pattern" then
            invariant $"expected {e.Expected}, got {e.Got}"
        else
            invariant $"{e.Role}, byte {e.At}: expected {e.Expected}, got {e.Got}"

    override e.ToString() = e.Message

[<RequireQualifiedAccess>]
module internal CompactError =

    let at (role: string) (place: int) (expected: string) (got: string) : CompactError =
        { Role = role
          At = int64 place
          Expected = expected
          Got = got }

    /// Another number of bytes than there should be.
    let bytes (role: string) (expected: string) (got: byte[]) : CompactError =
        at role got.Length (expected + " bytes") (invariant $"{got.Length} bytes")

    /// Bytes behind the last that is used.
    let behind (role: string) (place: int) (got: byte[]) : CompactError =
        at role place "the end" (invariant $"{got.Length - place} more bytes")

    /// Another number of slots than there are values.
    let slots (nnz: int) (got: int64) : CompactError =
        at "pattern" 0 (invariant $"{nnz} slots") (invariant $"{got}")
