namespace SparseFs.Inference

open System
open System.Threading
open SparseFs

/// <summary>Numbers that a network holds: of a sample, or of each of its tokens.</summary>
[<Struct>]
type internal RoomSize = { Numbers: int64; HasTokens: bool }

/// <summary>What a network asks of a workspace.</summary>
[<NoComparison; NoEquality>]
type internal WorkspacePlan =
    {
        /// Buffers, which each call writes anew.
        Buffers: RoomSize[]
        /// What goes from one token to the next; those with tokens are for sessions alone.
        States: RoomSize[]
    }

/// <summary>Numbers of one call, or of one session: buffers that the compiler has planned, for so many samples of so many tokens.</summary>
/// <param name="plan">What there is room for.</param>
/// <param name="capacity">The most tokens of a session; 0 for calls, each of which begins anew.</param>
[<Sealed>]
type internal Workspace(plan: WorkspacePlan, capacity: int) =
    let mutable samples = 0
    let mutable tokens = 0
    let mutable position = 0
    let buffers: float32[][] = plan.Buffers |> Array.map (fun _ -> [||])
    let states: float32[][] = plan.States |> Array.map (fun _ -> [||])

    let reserve (all: float32[][]) (index: int) (size: RoomSize) (tokens: int) =
        let ofSample = size.Numbers * (if size.HasTokens then int64 tokens else 1L)
        let room = Elements.room (ofSample * int64 samples)

        if room > int64 Array.MaxLength then
            let most = int64 Array.MaxLength / max 1L ofSample

            raise (
                ArgumentException(
                    invariant
                        $"expected at most {most} samples of {max 1 tokens} tokens in a call, got {samples}: divide them among calls",
                    "samples"
                )
            )

        if int64 all[index].Length < room then
            all[index] <- GC.AllocateUninitializedArray(int room, pinned = true)

    /// Samples of this call.
    member _.Samples: int = samples

    /// Tokens of each sample; 1 where the network has none.
    member _.Tokens: int = tokens

    /// Tokens that the session has seen before this call.
    member _.Position: int = position

    /// The most tokens of a session; 0 for calls.
    member _.Capacity: int = capacity

    /// Rows of a value.
    member _.Rows(hasTokens: bool) : int =
        if hasTokens then samples * tokens else samples

    /// Makes room for a call, which stays for later ones.
    member _.Begin(wantedSamples: int, wantedTokens: int) : unit =
        samples <- wantedSamples
        tokens <- wantedTokens

        for i in 0 .. buffers.Length - 1 do
            reserve buffers i plan.Buffers[i] wantedTokens

        for i in 0 .. states.Length - 1 do
            if capacity > 0 || not plan.States[i].HasTokens then
                reserve states i plan.States[i] capacity

    /// Nothing has been seen yet.
    member _.Reset() : unit =
        position <- 0

        for i in 0 .. states.Length - 1 do
            if not plan.States[i].HasTokens then
                states[i].AsSpan().Clear()

    /// The tokens of this call have been seen.
    member _.Advance() : unit = position <- position + tokens

    member _.Buffer(index: int) : float32[] = buffers[index]

    /// What goes from one token to the next, [samples, numbers], or [samples, capacity, numbers].
    member _.State(index: int) : float32[] = states[index]

    /// A copy of all that goes on, with the tokens that have been seen.
    member _.States: float32[][] = states |> Array.map Array.copy

    /// As a copy was taken.
    member _.Restore(taken: float32[][], seen: int) : unit =
        for i in 0 .. states.Length - 1 do
            taken[i].CopyTo(states[i], 0)

        position <- seen

/// <summary>Workspaces of calls, kept for later ones: as many as calls can be computed at once, and some that wait.</summary>
[<Sealed>]
type internal WorkspacePool(plan: WorkspacePlan) =
    let kept: (Workspace | null)[] = Array.zeroCreate (2 * Environment.ProcessorCount)

    member _.Rent() : Workspace =
        let mutable found: Workspace | null = null
        let mutable i = 0

        while isNull found && i < kept.Length do
            found <- Interlocked.Exchange(&kept[i], null)
            i <- i + 1

        match found with
        | null -> Workspace(plan, 0)
        | found -> found

    member _.GiveBack(w: Workspace) : unit =
        let mutable isKept = false
        let mutable i = 0

        while not isKept && i < kept.Length do
            isKept <- isNull (Interlocked.CompareExchange(&kept[i], w, null))
            i <- i + 1

/// <summary>What a compiled network does, one after the other; immutable, and for any number of threads.</summary>
[<AbstractClass>]
type internal Step() =
    abstract Run: w: Workspace -> unit
