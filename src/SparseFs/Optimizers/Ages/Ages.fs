namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>How many optimizer steps the young slots of a weight have taken since they were grown: those whose moments the
/// optimizer's own step count does not fit. All others are old.</summary>
/// <remarks>Slots that were grown together are a cohort and share an age: a byte a slot says which one. Where nothing is
/// young, nothing is stored.</remarks>
[<Sealed>]
type internal Ages() =
    static let most = 255

    /// The cohort of each slot, counted from 1, the youngest first; 0 is old. Empty where all are.
    let mutable cohorts: byte[] = [||]
    /// The age of each cohort, rising.
    let mutable ages: int64[] = [||]

    /// The cohort of each slot on a device, where it has been asked for.
    let mutable onDevice: torch.Tensor | null = null

    let forget () =
        match onDevice with
        | null -> ()
        | gone ->
            gone.Dispose()
            onDevice <- null

    /// Makes the cohorts from one on old.
    let retire (first: int) =
        forget ()
        ages <- Array.truncate first ages

        if first = 0 then
            cohorts <- [||]
        else
            for slot in 0 .. cohorts.Length - 1 do
                if int cohorts[slot] > first then
                    cohorts[slot] <- 0uy

    /// Whether any slot is young.
    member _.IsEmpty: bool = cohorts.Length = 0

    /// The cohort of each slot: 0 is old. Empty where all are; nobody writes to it.
    member _.Cohorts: byte[] = cohorts

    /// The age of each cohort, that of cohort 1 first; rising. Nobody writes to it.
    member _.OfCohorts: int64[] = ages

    /// The age of each slot, −1 where it is old; empty where all are.
    member _.OfSlots: int[] =
        cohorts
        |> Array.map (fun cohort ->
            if cohort = 0uy then
                -1
            else
                int (min ages[int cohort - 1] (int64 Int32.MaxValue)))

    /// <summary>Takes over what OfSlots gave; the ages beyond the 255 lowest count as old.</summary>
    member _.Replace(ofSlots: int[]) : unit =
        forget ()

        let distinct =
            ofSlots
            |> Array.filter (fun age -> age >= 0)
            |> Array.distinct
            |> Array.sort
            |> Array.truncate most

        ages <- Array.map int64 distinct

        cohorts <-
            if distinct.Length = 0 then
                [||]
            else
                // Not found is negative.
                ofSlots
                |> Array.map (fun age -> byte (max 0 (Array.BinarySearch(distinct, age) + 1)))

    /// <summary>Carries the ages over to another pattern.</summary>
    /// <param name="remap">From this pattern.</param>
    /// <param name="ofGrown">The age of grown slots; negative for old.</param>
    member _.Remap(remap: Remap, ofGrown: int64) : unit =
        let isYoung = ofGrown >= 0L && remap.Grown > 0

        if isYoung || cohorts.Length > 0 then
            let before = cohorts

            let place =
                if isYoung then
                    ages |> Array.filter (fun age -> age < ofGrown) |> _.Length
                else
                    most

            let isNew = isYoung && not (Array.contains ofGrown ages)

            let moved: byte[] =
                Array.init 256 (fun cohort ->
                    byte (
                        if isNew && cohort > place then
                            min 255 (cohort + 1)
                        else
                            cohort
                    ))

            // Of more than there are numbers for, the oldest become old.
            if isNew && ages.Length = most then
                moved[most] <- 0uy

            if isNew then
                ages <- Array.truncate most (Array.insertAt place ofGrown ages)

            let grown = if isYoung then byte (place + 1) else 0uy
            forget ()

            cohorts <-
                remap.FromArray
                |> Array.map (fun from ->
                    if from < 0 then grown
                    elif before.Length = 0 then 0uy
                    else moved[int before[from]])

    /// <summary>All young slots have taken a step.</summary>
    /// <param name="isYoung">Whether slots of an age are young still.</param>
    /// <param name="most">Cohorts that stay young whatever their age.</param>
    /// <param name="settled">Where there are more, those that have taken so many steps become old.</param>
    member _.Step(isYoung: int64 -> bool, most: int, settled: int64) : unit =
        if cohorts.Length > 0 then
            ages <- Array.map ((+) 1L) ages

            let mutable staying = ages.Length

            while staying > 0
                  && (not (isYoung ages[staying - 1])
                      || (staying > most && ages[staying - 1] >= settled)) do
                staying <- staying - 1

            if staying < ages.Length then
                retire staying

    /// The young slots and the cohort of each, counted from 0, as int64 tensors on a device, of the open DisposeScope.
    member _.Tensors(device: torch.Device) : struct (torch.Tensor * torch.Tensor) =
        let there =
            match onDevice with
            | NonNull known when known.device_type = device.``type`` && known.device_index = device.index -> known
            | _ ->
                forget ()
                let made = torch.tensor(cohorts, device = device).DetachFromDisposeScope()
                onDevice <- made
                made

        let index = there.nonzero().squeeze 1L
        struct (index, there.index_select(0L, index).to_type torch.ScalarType.Int64 - Scalars.Of 1L)
