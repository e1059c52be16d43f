module SparseFs.Tests.Refusals

open System
open Expecto

/// A test that the argument is refused by name, with a message that says this.
let refuses (name: string) (paramName: string) (says: string) (work: unit -> 'a) =
    testCase name (fun () ->
        try
            work () |> ignore
            failtest "expected an exception"
        with :? ArgumentException as e ->
            Expect.equal e.ParamName paramName "argument"
            Expect.stringContains e.Message says "message")
