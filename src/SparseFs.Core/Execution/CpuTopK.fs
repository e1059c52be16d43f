namespace SparseFs.Kernels

#nowarn "9"
#nowarn "3535"
#nowarn "3536"

open Microsoft.FSharp.NativeInterop
open SparseFs

/// A selection of k winners in each of some rows; all are row-major, and the caller has checked every size.
[<Struct>]
type internal TopKRequest =
    {
        /// [rows, n]
        X: nativeptr<float32>
        Form: Scores
        /// [n], or null where the scores are the inputs.
        Terms: nativeptr<float32>
        Rows: int
        N: int
        /// 1..n
        K: int
        /// [rows, n], overwritten.
        Y: nativeptr<float32>
        /// [rows, TopKRows.blocks n], overwritten.
        Mask: nativeptr<int>
        /// [n], overwritten; or null where nobody counts.
        Wins: nativeptr<int>
    }

/// The kernels of the selection at one width, for some rows.
[<AbstractClass>]
type internal TopKKernels() =
    /// keys has room for whole blocks and a vector; wins is added to, or null.
    abstract Select: s: TopKRequest * rows: RowRange * keys: nativeptr<int> * wins: nativeptr<int> -> unit

    abstract Keep:
        mask: nativeptr<int> * u: nativeptr<float32> * rows: RowRange * n: int * d: nativeptr<float32> -> unit

[<Sealed>]
type internal TopKKernels<'L, 'K when 'L: struct and 'L :> ISimdKeys<'K> and 'K: struct>() =
    inherit TopKKernels()

    [<AggressiveOptimization>]
    override _.Select(s, rows, keys, wins) =
        let mutable near = OrderedKey.Nothing

        for row in rows.From .. rows.To - 1 do
            let at = int64 row * int64 s.N
            let x = Pointer.at s.X at
            let struct (low, high) = TopKRows.keysOf<'L, 'K> s.Form x s.Terms s.N keys
            let struct (threshold, ties) = TopKRows.threshold<'L, 'K> keys s.N s.K low high near
            near <- threshold
            TopKRows.raise<'L, 'K> keys threshold ties
            let mask = Pointer.at s.Mask (int64 row * int64 (TopKRows.blocks s.N))
            TopKRows.write<'L, 'K> keys threshold x s.N (Pointer.at s.Y at) mask wins

    [<AggressiveOptimization>]
    override _.Keep(mask, u, rows, n, d) =
        for row in rows.From .. rows.To - 1 do
            let at = int64 row * int64 n
            let mask = Pointer.at mask (int64 row * int64 (TopKRows.blocks n))
            TopKRows.keep<'L, 'K> mask (Pointer.at u at) n (Pointer.at d at)

/// <summary>The one place that chooses for the selection: width and threads.</summary>
/// <remarks>Rows are shared out, and counts of wins are integers: results do not depend on the number of threads.</remarks>
module internal CpuTopK =

    let private ofWidth (width: Width) : TopKKernels =
        match width with
        | Width.V512 -> TopKKernels<SimdKeys512, _>()
        | Width.V256 -> TopKKernels<SimdKeys256, _>()
        | Width.V128 -> TopKKernels<SimdKeys128, _>()
        | _ -> TopKKernels<SimdKeysScalar, _>()

    let private kernels =
        dict
            [ for width in [ Width.Scalar; Width.V128; Width.V256; Width.V512 ] do
                  width, ofWidth width ]

    /// Units below which a second thread costs more than it brings.
    let private unitsOfThread = 16_384L

    /// The widest width, and as many of the threads as the units keep busy.
    let machineFor (team: ParallelFor) (threads: int) (rows: int) (n: int) : ExecutionPolicy =
        let busy = int64 rows * int64 n / unitsOfThread

        { Width = Widths.widest
          Threads = int (max 1L (min (int64 (min threads rows)) busy))
          Team = team }

    let private asInts (block: AlignedBuffer) : nativeptr<int> =
        NativePtr.ofNativeInt (NativePtr.toNativeInt block.Floats)

    /// A part's keys, and behind them its wins; whole cache lines.
    let private roomOf (s: TopKRequest) : int =
        let keysRoom = TopKRows.Block * (TopKRows.blocks s.N + 1)
        (keysRoom + (if Pointer.isNull s.Wins then 0 else s.N) + 15) &&& ~~~15

    let private winsOf (s: TopKRequest) (keys: nativeptr<int>) : nativeptr<int> =
        Pointer.at keys (int64 (TopKRows.Block * (TopKRows.blocks s.N + 1)))

    let private selectPart (width: Width) (s: TopKRequest) (scratch: nativeptr<int>) (parts: int) (part: int) =
        let keys = Pointer.at scratch (int64 part * int64 (roomOf s))

        let wins =
            if Pointer.isNull s.Wins then
                Pointer.nothing
            else
                let wins = winsOf s keys
                Pointer.clear (NativePtr.ofNativeInt (NativePtr.toNativeInt wins)) (int64 s.N)
                wins

        kernels[width].Select(s, RowPartition.range s.Rows part parts, keys, wins)

    /// On threads, which takes a closure.
    let private selectShared (machine: ExecutionPolicy) (s: TopKRequest) (scratch: nativeptr<int>) =
        machine.Team.Run(
            machine.Threads,
            machine.Threads,
            fun part -> selectPart machine.Width s scratch machine.Threads part
        )

    /// One thread allocates nothing.
    let select (machine: ExecutionPolicy) (s: TopKRequest) =
        let room = roomOf s
        let block = ScratchPool.rent (int64 machine.Threads * int64 room)
        let scratch = asInts block

        if machine.Threads = 1 then
            selectPart machine.Width s scratch 1 0
        else
            selectShared machine s scratch

        if not (Pointer.isNull s.Wins) then
            Reduce.addParts machine.Threads room (winsOf s scratch) s.N s.Wins

        ScratchPool.giveBack block

    /// d [rows, n] = u where the mask's bit is set, 0 elsewhere; d is overwritten.
    let keep (machine: ExecutionPolicy) (mask: nativeptr<int>) (u: nativeptr<float32>) (rows: int) (n: int) d =
        machine.Team.Run(
            machine.Threads,
            machine.Threads,
            fun part ->
                let own = RowPartition.range rows part machine.Threads
                kernels[machine.Width].Keep(mask, u, own, n, d)
        )
