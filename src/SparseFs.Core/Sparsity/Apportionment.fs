namespace SparseFs

open System

/// <summary>Whole counts in proportion to shares, by largest remainders (Hamilton's method), none above its capacity.</summary>
/// <remarks>In integers alone: a tie of remainders is one, and goes to the lower index.</remarks>
module internal Apportionment =

    /// <summary>Floats as integers of the same proportions, to the bit.</summary>
    /// <param name="shares">Finite, none negative.</param>
    let exactShares (shares: float[]) : bigint[] =
        // A subnormal number has the exponent 0 without the leading bit, and the scale of exponent 1.
        let parts =
            shares
            |> Array.map (fun share ->
                let bits = BitConverter.DoubleToInt64Bits share
                let exponent = int (bits >>> 52) &&& 0x7FF
                let fraction = bits &&& 0xFFFFFFFFFFFFFL

                struct ((if exponent = 0 then fraction else fraction ||| (1L <<< 52)), max 1 exponent))

        let lowest =
            parts
            |> Array.fold (fun least (struct (_, exponent)) -> min least exponent) 0x7FF

        parts
        |> Array.map (fun (struct (fraction, exponent)) -> bigint fraction <<< (exponent - lowest))

    /// <summary>Counts whose sum is the total.</summary>
    /// <param name="total">The sum of the counts: amount / scale, rounded.</param>
    /// <param name="amount">What is shared out, times scale.</param>
    /// <param name="scale">1 or more.</param>
    /// <param name="shares">0 or more, one a party. Where all that have room left have none, they count alike.</param>
    /// <param name="capacity">The largest count of each party, 0 or more.</param>
    /// <returns>One count a party: its quota rounded down or up. What a full party cannot take goes to the others.</returns>
    /// <exception cref="T:System.InvalidOperationException">The capacities add up to less than the total.</exception>
    let counts (total: bigint) (amount: bigint) (scale: bigint) (shares: bigint[]) (capacity: bigint[]) : bigint[] =
        if Array.sum capacity < total then
            invalidOp (invariant $"expected room for {total} slots, got {Array.sum capacity}")

        let isFull = capacity |> Array.map _.IsZero
        let parties = [| 0 .. shares.Length - 1 |]

        /// Shares of those with room, what is left for them, and the sum of their shares times scale.
        let perShare () =
            let free = parties |> Array.filter (fun party -> not isFull[party])
            let isEqual = free |> Array.forall (fun party -> shares[party].IsZero)

            let share party =
                if isFull[party] then 0I
                elif isEqual then 1I
                else shares[party]

            let taken =
                parties
                |> Array.sumBy (fun party -> if isFull[party] then capacity[party] else 0I)

            let current = Array.map share parties
            struct (current, amount - taken * scale, Array.sum current * scale)

        /// Filling those whose quota exceeds their capacity raises the quotas of the others: until none is exceeded.
        let rec quotas () =
            let struct (current, left, sum) = perShare ()

            let over =
                parties
                |> Array.filter (fun party -> not isFull[party] && left * current[party] > capacity[party] * sum)

            if over.Length = 0 then
                struct (Array.map (fun share -> left * share) current, sum)
            else
                for party in over do
                    isFull[party] <- true

                quotas ()

        let struct (wanted, sum) = quotas ()

        let counts =
            parties
            |> Array.map (fun party ->
                if isFull[party] then
                    capacity[party]
                else
                    wanted[party] / sum)

        let mutable missing = total - Array.sum counts

        for party in
            parties
            |> Array.filter (fun party -> not isFull[party])
            |> Array.sortBy (fun party -> counts[party] * sum - wanted[party], party) do
            if missing > 0I && counts[party] < capacity[party] then
                counts[party] <- counts[party] + 1I
                missing <- missing - 1I

        counts
