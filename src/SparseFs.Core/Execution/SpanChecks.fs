namespace SparseFs.Kernels

open System
open SparseFs

/// <summary>What a caller's spans must be before they become addresses.</summary>
module internal SpanChecks =

    let private refuse (name: string) (what: string) (expected: int64) (got: int) =
        let message =
            String.Concat(
                "expected ",
                what,
                " = ",
                expected.ToString(),
                String.Concat(" numbers, got ", got.ToString())
            )

        raise (ArgumentException(message, name))

    /// Refuses fewer samples than none.
    let samples (samples: int) =
        if samples < 0 then
            raise (ArgumentException(String.Concat("expected 0 or more, got ", samples.ToString()), nameof samples))

    /// Refuses no plan, and fewer samples than none.
    let plan (plan: SpmmPlan) (count: int) =
        ArgumentNullException.ThrowIfNull(plan, nameof plan)
        samples count

    /// Refuses another size than samples · units; what says it in words.
    let size (name: string) (what: string) (samples: int) (units: int) (got: int) =
        let expected = int64 samples * int64 units

        if int64 got <> expected then
            refuse name what expected got

    /// Refuses another size than a number for each slot.
    let slots (name: string) (plan: SpmmPlan) (got: int) =
        if got <> plan.Connectivity.Nnz then
            refuse name "nnz" (int64 plan.Connectivity.Nnz) got

    /// Refuses an output that overlaps an input or another output.
    let apart (name: string) (overlaps: bool) =
        if overlaps then
            raise (ArgumentException("expected memory of its own, got some of an input's", name))
