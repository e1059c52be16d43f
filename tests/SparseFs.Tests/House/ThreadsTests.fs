/// Calls on many threads, in processes of their own.
module SparseFs.Tests.ThreadsTests

open Expecto
open SparseFs.Stress

/// How many times the usual counts: bounded here, in full by the target stress.
[<Literal>]
let private Times = 1

[<Tests>]
let threadsTests =
    testSequenced
    <| testList
        "Threads"
        [ for name, _ in Scenarios.all do
              testCase name (fun () ->
                  let outcome = Running.there [ "--stress" ] name Times
                  Expect.equal (outcome.Code, outcome.Failures) (0, "") "no crash, no mixture") ]
