module SparseFs.Tests.Outcomes

open Expecto
open SparseFs

/// What an update did, where it was not refused.
let countsOf (outcome: RewireOutcome) : RewireCounts =
    match outcome with
    | RewireOutcome.Done counts -> counts
    | RewireOutcome.Refused reason -> failtest $"expected an update that was done, got a refusal: {reason}"

/// Why an update was refused.
let reasonOf (outcome: RewireOutcome) : string =
    match outcome with
    | RewireOutcome.Refused reason -> reason
    | RewireOutcome.Done counts -> failtest $"expected a refusal, got {counts}"

/// The value of a result that is one.
let okOf (result: Result<'a, 'error>) : 'a =
    match result with
    | Ok value -> value
    | Error e -> failtest $"expected a value, got {e}"
