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
/// <remarks>Keys are in scratch memory, made up to whole blocks of 32 by the lowest integer, which never wins. Oracle:
/// KWinners.winners.</remarks>
module internal TopKRows =

    /// A word of the mask stands for so many units.
    [<Literal>]
    let Block = 32

    let blocks (n: int) : int = (n + Block - 1) / Block

    let inline private map<'L, 'K when 'L: struct and 'L :> ISimdKeys<'K> and 'K: struct>
        (n: int)
        (keys: nativeptr<int>)
        ([<InlineIfLambda>] keysAt: int -> 'K)
        ([<InlineIfLambda>] keyAt: int -> int)
        : struct (int * int) =
        let lanes = 'L.Count
        let mutable low = System.Int32.MaxValue
        let mutable high = OrderedKey.Nothing
        let mutable i = 0

        if lanes <= n then
            let mutable lows = 'L.Broadcast System.Int32.MaxValue
            let mutable highs = 'L.Broadcast OrderedKey.Nothing

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
            Pointer.set keys i OrderedKey.Nothing
            i <- i + 1

        struct (low, high)

    /// <summary>keys[i] = the key of row i's score; the lowest and the highest of them.</summary>
    /// <remarks>keys has room for whole blocks and a vector more.</remarks>
    [<AggressiveOptimization>]
    let keysOf<'L, 'K when 'L: struct and 'L :> ISimdKeys<'K> and 'K: struct>
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
                (fun i -> OrderedKey.signed (Pointer.get x i * Pointer.get terms i))
        | Scores.Sums ->
            map<'L, 'K> n keys (fun i -> 'L.KeysOfSums(Pointer.at x (int64 i), Pointer.at terms (int64 i))) (fun i ->
                OrderedKey.signed (Pointer.get x i + Pointer.get terms i))
        | _ ->
            map<'L, 'K> n keys (fun i -> 'L.KeysOf(Pointer.at x (int64 i))) (fun i ->
                OrderedKey.signed (Pointer.get x i))

    /// How many keys of some blocks are above a bound.
    [<AggressiveOptimization>]
    let countAbove<'L, 'K when 'L: struct and 'L :> ISimdKeys<'K> and 'K: struct>
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

    /// <summary>The key between two where a line through two excesses crosses 0.</summary>
    /// <remarks>The line is over numbers, not keys. In the open interval; its middle where numbers are no help.</remarks>
    let inline private crossing (low: int64) (atLow: float) (high: int64) (atHigh: float) : int64 =
        let from, into =
            float (OrderedKey.ofSigned (int low)), float (OrderedKey.ofSigned (int high))

        let number = from + (into - from) * (atLow + 0.5) / (atLow - atHigh)

        if System.Double.IsFinite number then
            max (low + 1L) (min (high - 1L) (int64 (OrderedKey.signed (float32 number))))
        else
            low + (high - low) / 2L

    /// <summary>Those above the threshold win, and so do the first few that equal it.</summary>
    /// <returns>The threshold, and how many of its equals win.</returns>
    /// <remarks>A bracket of keys is narrowed until exactly k keys are above a bound, or the bracket is one key. Tried are
    /// the threshold of another row, its successor first (which ends it where both are the 0 of a ReLU), then ten times
    /// the crossing of the excess of keys above a bound, with the Illinois rule (an end that stays twice loses half of
    /// its excess), then halves. 5 to 8 passes are usual, 44 are the most. near is that other row's threshold, or OrderedKey.Nothing; winners
    /// do not depend on it.</remarks>
    [<AggressiveOptimization>]
    let threshold<'L, 'K when 'L: struct and 'L :> ISimdKeys<'K> and 'K: struct>
        (keys: nativeptr<int>)
        (n: int)
        (k: int)
        (low: int)
        (high: int)
        (near: int)
        : struct (int * int) =
        let blocks = blocks n
        // Of the keys, k + excessLow >= k are at or above low, k + excessHigh < k at or above high.
        let mutable low = int64 low
        let mutable high = int64 high + 1L
        let mutable excessLow = n - k
        let mutable excessHigh = -k
        // As they count for the crossing.
        let mutable weightLow = float excessLow
        let mutable weightHigh = float excessHigh
        let mutable wasLow = false
        let mutable pass = 0

        while excessLow > 0 && high - low > 1L do
            let tried = int64 near + (if pass = 0 then 1L else 0L)

            let bound =
                if pass < 2 && tried > low && tried < high then tried
                elif pass < 12 then crossing low weightLow high weightHigh
                else low + (high - low) / 2L

            let excess = countAbove<'L, 'K> keys blocks (int (bound - 1L)) - k
            let isLow = excess >= 0

            if isLow then
                low <- bound
                excessLow <- excess
                weightLow <- float excess
            else
                high <- bound
                excessHigh <- excess
                weightHigh <- float excess

            if pass > 0 && isLow = wasLow then
                if isLow then
                    weightHigh <- weightHigh / 2.0
                else
                    weightLow <- weightLow / 2.0

            wasLow <- isLow
            pass <- pass + 1

        if excessLow = 0 then
            struct (int (low - 1L), 0)
        else
            struct (int low, -excessHigh)

    /// The first ties of the keys that equal the threshold rise above it.
    [<AggressiveOptimization>]
    let raise<'L, 'K when 'L: struct and 'L :> ISimdKeys<'K> and 'K: struct>
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
    [<AggressiveOptimization>]
    let write<'L, 'K when 'L: struct and 'L :> ISimdKeys<'K> and 'K: struct>
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
    [<AggressiveOptimization>]
    let keep<'L, 'K when 'L: struct and 'L :> ISimdKeys<'K> and 'K: struct>
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
