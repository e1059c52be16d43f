/// What .NET may answer with null, and a test counts on.
[<AutoOpen>]
module SparseFs.Tests.Presence

open Expecto

/// The value; where there is none, the test fails and says what it expected.
let present (what: string) (value: 'T | null) : 'T =
    match value with
    | null -> failtest $"expected {what}, got null"
    | value -> value
