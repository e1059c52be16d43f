namespace SparseFs.Kernels

/// Slots of a weight, divided among threads.
module internal SlotParts =

    /// Slots below which a second thread costs more than it brings, to torch's operations too.
    let private slotsOfThread = 32_768

    /// Slots at which a part begins: a line of a cache, and a vector of any width.
    let private Line = 16

    /// Whether so many slots are one thread's.
    let isOne (threads: int) (slots: int) : bool =
        min threads (slots / slotsOfThread) <= 1

    /// <summary>Some parts of all slots, each beginning where a vector does: so each slot is computed by the same operations, whatever
    /// the number of threads.</summary>
    let each (team: ParallelFor) (threads: int) (slots: int) (body: RowRange -> unit) : unit =
        let parts = max 1 (min threads (slots / slotsOfThread))

        if parts = 1 then
            body { From = 0; To = slots }
        else
            ExecutionPolicy.share team parts (fun part -> body (RowPartition.aligned Line slots part parts))
