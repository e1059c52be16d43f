namespace SparseFs.Kernels

/// Some samples of a batch: as many as one kernel call takes, the last ones made up to whole vectors with zeros.
[<Struct>]
type internal Tile =
    { Sample: int
      Samples: int
      Vectors: int }

/// <summary>How a batch is cut into tiles of four vectors, or two, and a last one of what is left.</summary>
/// <remarks>It follows from shapes alone, so that results do not depend on the number of threads.</remarks>
[<Struct>]
type internal BatchTiling =
    {
        Width: Width
        N: int
        /// Vectors of a whole tile.
        Vectors: int
        /// Whether a last vector joins the whole tile before it, which is one vector wider then, rather than cost a pass over the
        /// pattern of its own.
        Joins: bool
    }

    member c.Lanes = int c.Width

    /// Vectors of the batch, the last one made up to a whole one.
    member private c.AllVectors = c.N / c.Lanes + min 1 (c.N % c.Lanes)

    member c.Tiles =
        let whole, rest = c.AllVectors / c.Vectors, c.AllVectors % c.Vectors

        if rest = 0 || rest = 1 && whole > 0 && c.Joins then
            whole
        else
            whole + 1

    /// The last tile's vectors: 1 to Vectors + 1, but 0 of an empty batch.
    member private c.LastVectors = c.AllVectors - max 0 (c.Tiles - 1) * c.Vectors

    member c.Tile(index: int) : Tile =
        let before = index * c.Vectors * c.Lanes

        if index < c.Tiles - 1 then
            { Sample = before
              Samples = c.Vectors * c.Lanes
              Vectors = c.Vectors }
        else
            { Sample = before
              Samples = c.N - before
              Vectors = c.LastVectors }

    /// Samples of a tile with its padding.
    member c.Wide(tile: Tile) = tile.Vectors * c.Lanes

    /// Floats of a packed tile of so many features, at most.
    member c.Floats(features: int) =
        int64 (max c.Vectors c.LastVectors) * int64 c.Lanes * int64 features

[<RequireQualifiedAccess>]
module internal BatchTiling =

    /// The narrowest width that holds the whole batch in one vector, or the one that is given.
    let private narrowed (width: Width) (n: int) : Width =
        if n = 1 then Width.Scalar
        elif n <= 4 && width >= Width.V128 then Width.V128
        elif n <= 8 && width >= Width.V256 then Width.V256
        else width

    /// A tile of 512-bit vectors up to this size is four vectors wide; beyond, two: it stays near three quarters of the
    /// second-level cache, and an access to it is 128 bytes either way. Narrower vectors lose more than they win by fewer of them.
    let private wideTileBytes = max (768L * 1024L) (CacheLevels.second / 4L * 3L)

    /// For n samples and a layer with so many features on its wider side; a last vector is a tile of its own.
    let ofBatch (width: Width) (n: int) (features: int) : BatchTiling =
        let width = narrowed width n

        let vectors =
            if width = Width.V512 && int64 features * 64L * 4L > wideTileBytes then
                2
            else
                4

        { Width = width
          N = n
          Vectors = vectors
          Joins = false }

    /// The same for gradients, where a last vector joins the tile before it: sddmm and the sums of columns win by it, a product lost
    /// a little (decision 0021).
    let joining (c: BatchTiling) : BatchTiling = { c with Joins = true }
