/// What the processor of this process can do at most, measured: the lines that kernels are held against.
module SparseFs.Benchmarks.MachineLimits

#nowarn "9"
#nowarn "3536"

open System
open System.Diagnostics
open System.Runtime.InteropServices
open Microsoft.FSharp.NativeInterop
open SparseFs
open SparseFs.Kernels

/// One core's limits at one width of vectors, in GFLOP/s where two is one multiply-add, and in GB/s.
type internal Limits =
    {
        Width: Width
        /// Multiply-adds between registers.
        Peak: float
        /// Multiply-adds of which each loads its input from a row of four vectors, picked at random in the first-level cache.
        GatherL1: float
        /// The same, in half of the second-level cache.
        GatherL2: float
        /// Reading one long stretch that no cache holds.
        Bandwidth: float
    }

let inline private at (p: nativeptr<float32>) (index: int64) : nativeptr<float32> =
    NativePtr.ofNativeInt (NativePtr.toNativeInt p + nativeint index * 4n)

/// Ten chains, more than the latency of a multiply-add times what the core begins in a cycle. Compiled at full speed at once, as the
/// kernels are: code that .NET swaps in the middle of a loop keeps its sums in memory.
[<AggressiveOptimization>]
let private multiplyAdds<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
    (rounds: int)
    (sink: nativeptr<float32>)
    =
    let w = 'L.Broadcast 0.5f
    let mutable a = w
    let mutable b = w
    let mutable c = w
    let mutable d = w
    let mutable e = w
    let mutable f = w
    let mutable g = w
    let mutable h = w
    let mutable i = w
    let mutable j = w

    for _ in 1..rounds do
        a <- 'L.MultiplyAdd(w, a, w)
        b <- 'L.MultiplyAdd(w, b, w)
        c <- 'L.MultiplyAdd(w, c, w)
        d <- 'L.MultiplyAdd(w, d, w)
        e <- 'L.MultiplyAdd(w, e, w)
        f <- 'L.MultiplyAdd(w, f, w)
        g <- 'L.MultiplyAdd(w, g, w)
        h <- 'L.MultiplyAdd(w, h, w)
        i <- 'L.MultiplyAdd(w, i, w)
        j <- 'L.MultiplyAdd(w, j, w)

    let sum =
        'L.Add('L.Add('L.Add(a, b), 'L.Add(c, d)), 'L.Add('L.Add('L.Add(e, f), 'L.Add(g, h)), 'L.Add(i, j)))

    'L.Store(sink, sum)

/// Rows of four vectors, two at a time, as spmm takes them: but for its weights.
[<AggressiveOptimization>]
let private gather<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
    (picks: nativeptr<int>)
    (count: int)
    (tile: nativeptr<float32>)
    (sink: nativeptr<float32>)
    =
    let lanes = int64 'L.Count
    let w = 'L.Broadcast 0.5f
    let mutable a0 = w
    let mutable a1 = w
    let mutable a2 = w
    let mutable a3 = w
    let mutable b0 = w
    let mutable b1 = w
    let mutable b2 = w
    let mutable b3 = w
    let mutable i = 0

    while i < count do
        let x = at tile (int64 (NativePtr.get picks i) * 4L * lanes)
        a0 <- 'L.MultiplyAdd(w, 'L.Load x, a0)
        a1 <- 'L.MultiplyAdd(w, 'L.Load(at x lanes), a1)
        a2 <- 'L.MultiplyAdd(w, 'L.Load(at x (2L * lanes)), a2)
        a3 <- 'L.MultiplyAdd(w, 'L.Load(at x (3L * lanes)), a3)
        let x = at tile (int64 (NativePtr.get picks (i + 1)) * 4L * lanes)
        b0 <- 'L.MultiplyAdd(w, 'L.Load x, b0)
        b1 <- 'L.MultiplyAdd(w, 'L.Load(at x lanes), b1)
        b2 <- 'L.MultiplyAdd(w, 'L.Load(at x (2L * lanes)), b2)
        b3 <- 'L.MultiplyAdd(w, 'L.Load(at x (3L * lanes)), b3)
        i <- i + 2

    'L.Store(sink, 'L.Add('L.Add('L.Add(a0, a1), 'L.Add(a2, a3)), 'L.Add('L.Add(b0, b1), 'L.Add(b2, b3))))

/// Sums of a long stretch.
[<AggressiveOptimization>]
let private read<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct>
    (from: nativeptr<float32>)
    (count: int64)
    (sink: nativeptr<float32>)
    =
    let lanes = int64 'L.Count
    let mutable a = 'L.Zero
    let mutable b = 'L.Zero
    let mutable c = 'L.Zero
    let mutable d = 'L.Zero
    let mutable i = 0L

    while i < count do
        let x = at from i
        a <- 'L.Add(a, 'L.Load x)
        b <- 'L.Add(b, 'L.Load(at x lanes))
        c <- 'L.Add(c, 'L.Load(at x (2L * lanes)))
        d <- 'L.Add(d, 'L.Load(at x (3L * lanes)))
        i <- i + 4L * lanes

    'L.Store(sink, 'L.Add('L.Add(a, b), 'L.Add(c, d)))

/// The fastest of many runs in seconds: a limit is what nothing else disturbs.
let private fastest (seconds: float) (run: unit -> unit) : float =
    let all = Stopwatch.StartNew()
    let mutable best = infinity

    while all.Elapsed.TotalSeconds < seconds do
        let watch = Stopwatch.StartNew()
        run ()
        best <- min best watch.Elapsed.TotalSeconds

    best

[<Literal>]
let private Picks = 65536

let private ofLanes<'L, 'V when 'L: struct and 'L :> ISimdVector<'V> and 'V: struct> (l1: int64) (l2: int64) : Limits =
    let lanes = int64 'L.Count

    let room (floats: int64) : nativeptr<float32> =
        let p =
            NativePtr.ofVoidPtr<float32>(NativeMemory.AlignedAlloc(unativeint (4L * floats), 64un))

        NativeMemory.Clear(NativePtr.toVoidPtr p, unativeint (4L * floats))
        p

    let sink = room 64L
    let long = 64L * 1024L * 1024L
    let stretch = room long

    let picks =
        NativePtr.ofVoidPtr<int>(NativeMemory.AlignedAlloc(unativeint (4 * Picks), 64un))

    let rounds = 20_000

    let gathered (bytes: int64) =
        let rows = int (bytes / (16L * lanes))
        let random = Random 1

        for i in 0 .. Picks - 1 do
            NativePtr.set picks i (random.Next rows)

        let seconds = fastest 0.7 (fun () -> gather<'L, 'V> picks Picks stretch sink)
        2.0 * 4.0 * float lanes * float Picks / seconds / 1e9

    try
        { Width = enum<Width>(int lanes)
          Peak =
            2.0 * 10.0 * float lanes * float rounds
            / fastest 0.7 (fun () -> multiplyAdds<'L, 'V> rounds sink)
            / 1e9
          // Half of each cache: what is gathered shares it with columns and sums.
          GatherL1 = gathered (l1 / 2L)
          GatherL2 = gathered (l2 / 2L)
          Bandwidth = 4.0 * float long / fastest 0.7 (fun () -> read<'L, 'V> stretch long sink) / 1e9 }
    finally
        for p in [ sink; stretch ] do
            NativeMemory.AlignedFree(NativePtr.toVoidPtr p)

        NativeMemory.AlignedFree(NativePtr.toVoidPtr picks)

/// The limits of this thread's core at a width.
let internal ofThisMachine (width: Width) : Limits =
    let l1, l2 = CacheLevels.first, CacheLevels.second

    match width with
    | Width.Scalar -> ofLanes<SimdScalar, float32> l1 l2
    | Width.V128 -> ofLanes<Simd128, System.Runtime.Intrinsics.Vector128<float32>> l1 l2
    | Width.V256 -> ofLanes<Simd256, System.Runtime.Intrinsics.Vector256<float32>> l1 l2
    | _ -> ofLanes<Simd512, System.Runtime.Intrinsics.Vector512<float32>> l1 l2
