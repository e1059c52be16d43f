namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3536"

open System.Numerics
open SparseFs

/// What is done to an input before it is compared.
type internal Scores =
    | Inputs = 0
    | Products = 1
    | Sums = 2

/// <summary>The k highest scores of a row: y[i] = x[i] where i wins, 0 elsewhere, and a bit for each winner.</summary>
/// <remarks>Keys are in scratch memory, made up to whole blocks of 32 by the lowest integer, which never wins.</remarks>
module internal Winners =

    /// A word of the mask stands for so many units.
    [<Literal>]
    let Block = 32

    let blocks (n: int) : int = (n + Block - 1) / Block

    let inline private map<'L, 'K when 'L: struct and 'L :> IKeyLanes<'K> and 'K: struct>
        (n: int)
        (keys: nativeptr<int>)
        ([<InlineIfLambda>] keysAt: int -> 'K)
        ([<InlineIfLambda>] keyAt: int -> int)
        : struct (int * int) =
        let lanes = 'L.Count
        let mutable low = System.Int32.MaxValue
        let mutable high = Key.Nothing
        let mutable i = 0

        if lanes <= n then
            let mutable lows = 'L.Broadcast System.Int32.MaxValue
            let mutable highs = 'L.Broadcast Key.Nothing

            while i + lanes <= n do
                let found = keysAt i
                'L.Store(Pointer.at keys (int64 i), found)
                lows <- 'L.Lower(lows, found)
                highs <- 'L.Higher(highs, found)
                i <- i + lanes

            // Through the keys' own memory, which has room for a vector: it is filled below.
            let room = Pointer.at keys (int64 (Block * blocks n))
            'L.Store(room, lows)

            for j in 0 .. lanes - 1 do
                low <- min low (Pointer.get room j)

            'L.Store(room, highs)

            for j in 0 .. lanes - 1 do
                high <- max high (Pointer.get room j)

        while i < n do
            let key = keyAt i
            Pointer.set keys i key
            low <- min low key
            high <- max high key
            i <- i + 1

        let padded = Block * blocks n

        while i < padded do
            Pointer.set keys i Key.Nothing
            i <- i + 1

        struct (low, high)

    /// <summary>keys[i] = the key of row i's score; the lowest and the highest of them.</summary>
    /// <remarks>keys has room for whole blocks and a vector more.</remarks>
    [<FullyOptimized>]
    let keysOf<'L, 'K when 'L: struct and 'L :> IKeyLanes<'K> and 'K: struct>
        (form: Scores)
        (x: nativeptr<float32>)
        (terms: nativeptr<float32>)
        (n: int)
        (keys: nativeptr<int>)
        : struct (int * int) =
        match form with
        | Scores.Products ->
            map<'L, 'K>
                n
                keys
                (fun i -> 'L.KeysOfProducts(Pointer.at x (int64 i), Pointer.at terms (int64 i)))
                (fun i -> Key.ofFloat (Pointer.get x i * Pointer.get terms i))
        | Scores.Sums ->
            map<'L, 'K> n keys (fun i -> 'L.KeysOfSums(Pointer.at x (int64 i), Pointer.at terms (int64 i))) (fun i ->
                Key.ofFloat (Pointer.get x i + Pointer.get terms i))
        | _ -> map<'L, 'K> n keys (fun i -> 'L.KeysOf(Pointer.at x (int64 i))) (fun i -> Key.ofFloat (Pointer.get x i))

    /// How many keys of some blocks are above a bound.
    [<FullyOptimized>]
    let countAbove<'L, 'K when 'L: struct and 'L :> IKeyLanes<'K> and 'K: struct>
        (keys: nativeptr<int>)
        (blocks: int)
        (bound: int)
        : int =
        let lanes = 'L.Count
        let bounds = 'L.Broadcast bound
        let mutable even = 'L.Broadcast 0
        let mutable odd = even
        let mutable at = keys
        let mutable left = blocks * Block

        while left > 0 do
            even <- 'L.Subtract(even, 'L.Above('L.Load at, bounds))
            odd <- 'L.Subtract(odd, 'L.Above('L.Load(Pointer.at at (int64 lanes)), bounds))
            at <- Pointer.at at (int64 (2 * lanes))
            left <- left - 2 * lanes

        'L.Sum even + 'L.Sum odd

    /// <summary>Those above the threshold win, and so do the first few that equal it.</summary>
    /// <returns>The threshold, and how many of its equals win.</returns>
    /// <remarks>Bisection between the lowest and the highest key. It ends early at a bound that exactly k are above.</remarks>
    [<FullyOptimized>]
    let threshold<'L, 'K when 'L: struct and 'L :> IKeyLanes<'K> and 'K: struct>
        (keys: nativeptr<int>)
        (n: int)
        (k: int)
        (low: int)
        (high: int)
        : struct (int * int) =
        let blocks = blocks n
        // At least k keys are at or above low; fewer than k, namely above, are at or above high.
        let mutable low = int64 low
        let mutable high = int64 high + 1L
        let mutable above = 0
        let mutable isExact = k = n

        while not isExact && high - low > 1L do
            let middle = low + (high - low) / 2L
            let count = countAbove<'L, 'K> keys blocks (int (middle - 1L))

            if count < k then
                high <- middle
                above <- count
            else
                low <- middle
                isExact <- count = k

        if isExact then
            struct (int (low - 1L), 0)
        else
            struct (int low, k - above)

    /// The first ties of the keys that equal the threshold rise above it.
    [<FullyOptimized>]
    let raise<'L, 'K when 'L: struct and 'L :> IKeyLanes<'K> and 'K: struct>
        (keys: nativeptr<int>)
        (threshold: int)
        (ties: int)
        =
        let lanes = 'L.Count
        let bounds = 'L.Broadcast threshold
        let mutable left = ties
        let mutable i = 0

        while left > 0 do
            let mutable equal = 'L.Bits('L.Equal('L.Load(Pointer.at keys (int64 i)), bounds))

            while equal <> 0u && left > 0 do
                Pointer.set keys (i + BitOperations.TrailingZeroCount equal) (threshold + 1)
                equal <- equal &&& (equal - 1u)
                left <- left - 1

            i <- i + lanes

    /// <summary>y[i] = x[i] where keys[i] is above the threshold, 0 elsewhere; the mask has a bit for each i, in words of
    /// 32, and wins[i] rises by one where i wins.</summary>
    /// <remarks>y and mask are overwritten, wins is added to, or null. x and y may be the same.</remarks>
    [<FullyOptimized>]
    let write<'L, 'K when 'L: struct and 'L :> IKeyLanes<'K> and 'K: struct>
        (keys: nativeptr<int>)
        (threshold: int)
        (x: nativeptr<float32>)
        (n: int)
        (y: nativeptr<float32>)
        (mask: nativeptr<int>)
        (wins: nativeptr<int>)
        =
        let lanes = 'L.Count
        let bounds = 'L.Broadcast threshold
        let counts = not (Pointer.isNull wins)
        let mutable i = 0

        while i + Block <= n do
            let mutable word = 0u
            let mutable j = 0

            while j < Block do
                let at = int64 (i + j)
                let won = 'L.Above('L.Load(Pointer.at keys at), bounds)
                'L.Keep(won, Pointer.at x at, Pointer.at y at)
                word <- word ||| ('L.Bits won <<< j)

                if counts then
                    let own = Pointer.at wins at
                    'L.Store(own, 'L.Subtract('L.Load own, won))

                j <- j + lanes

            Pointer.set mask (i / Block) (int word)
            i <- i + Block

        if i < n then
            let mutable word = 0u
            let first = i

            while i < n do
                if Pointer.get keys i > threshold then
                    Pointer.set y i (Pointer.get x i)
                    word <- word ||| (1u <<< (i - first))

                    if counts then
                        Pointer.set wins i (Pointer.get wins i + 1)
                else
                    Pointer.set y i 0.0f

                i <- i + 1

            Pointer.set mask (first / Block) (int word)

    /// <summary>d[i] = u[i] where the mask's bit i is set, 0 elsewhere; d is overwritten.</summary>
    [<FullyOptimized>]
    let keep<'L, 'K when 'L: struct and 'L :> IKeyLanes<'K> and 'K: struct>
        (mask: nativeptr<int>)
        (u: nativeptr<float32>)
        (n: int)
        (d: nativeptr<float32>)
        =
        let lanes = 'L.Count
        let mutable i = 0

        while i + Block <= n do
            let word = uint32 (Pointer.get mask (i / Block))
            let mutable j = 0

            while j < Block do
                let at = int64 (i + j)
                'L.Keep('L.OfBits(word >>> j), Pointer.at u at, Pointer.at d at)
                j <- j + lanes

            i <- i + Block

        while i < n do
            let isSet = (uint32 (Pointer.get mask (i / Block)) >>> (i % Block)) &&& 1u <> 0u
            Pointer.set d i (if isSet then Pointer.get u i else 0.0f)
            i <- i + 1

    /// total[i] = Σ counts[part · stride + i] over the parts; total is overwritten.
    [<FullyOptimized>]
    let addParts (parts: int) (stride: int) (counts: nativeptr<int>) (n: int) (total: nativeptr<int>) =
        let mutable i = 0

        while i < n do
            let mutable sum = 0

            for part in 0 .. parts - 1 do
                sum <- sum + Pointer.get (Pointer.at counts (int64 part * int64 stride)) i

            Pointer.set total i sum
            i <- i + 1
