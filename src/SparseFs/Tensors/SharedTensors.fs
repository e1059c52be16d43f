namespace SparseFs.Torch

open System
open System.Collections.Concurrent
open System.Threading
open System.Threading.Tasks
open TorchSharp

/// <summary>Tensors that calls on any threads use at once, freed when they are given up and the last such call has
/// ended.</summary>
/// <remarks>The tensors are handles of their own: whoever disposes of a Parameter elsewhere frees nothing that a call
/// uses.</remarks>
[<Sealed>]
type internal SharedTensors(tensors: (torch.Tensor | null)[]) =
    /// Calls that use them; less than 0 once they are given up.
    let mutable users = 0
    let mutable isRetired = 0
    let mutable isFree = 0

    let free () =
        if Interlocked.Exchange(&isFree, 1) = 0 then
            for t in tensors do
                match t with
                | null -> ()
                | t -> t.Dispose()

    /// Begins a use; false where they have been given up. Every use ends by <c>Exit</c>.
    member s.TryEnter() : bool =
        if Interlocked.Increment(&users) > 0 then
            true
        else
            s.Exit()
            false

    member _.Exit() : unit =
        if Interlocked.Decrement(&users) = Int32.MinValue then
            free ()

    /// Gives them up: no use begins any more.
    member _.Retire() : unit =
        if
            Interlocked.Exchange(&isRetired, 1) = 0
            && Interlocked.Add(&users, Int32.MinValue) = Int32.MinValue
        then
            free ()

/// <summary>Tensors that others may still be reading: given up a second after they were replaced.</summary>
/// <remarks>A Parameter that goes, or whose storage is exchanged, may be in the middle of a copy on another thread, in
/// libtorch, where nothing of ours counts uses; that copy must find its numbers.</remarks>
module internal Replaced =

    [<Literal>]
    let private Milliseconds = 1000

    let private waiting = ConcurrentQueue<struct (int64 * SharedTensors)>()
    let mutable private isTimed = 0

    let private releaseUntil (due: int64) =
        let mutable first = Unchecked.defaultof<struct (int64 * SharedTensors)>
        let mutable isMore = waiting.TryPeek &first

        while isMore do
            let struct (at, _) = first

            if at > due then
                isMore <- false
            elif waiting.TryDequeue &first then
                let struct (_, tensors) = first
                tensors.Retire()
                isMore <- waiting.TryPeek &first

    let rec private releaseInTime () : unit =
        if Interlocked.Exchange(&isTimed, 1) = 0 then
            Task
                .Delay(Milliseconds + 100)
                .ContinueWith(fun (_: Task) ->
                    Volatile.Write(&isTimed, 0)
                    releaseUntil Environment.TickCount64

                    if not waiting.IsEmpty then
                        releaseInTime ())
            |> ignore

    /// Gives them up in a second.
    let later (tensors: SharedTensors) : unit =
        waiting.Enqueue(struct (Environment.TickCount64 + int64 Milliseconds, tensors))
        releaseInTime ()

    /// Gives all up now: where it is known that nobody reads.
    let releaseAll () : unit = releaseUntil Int64.MaxValue
