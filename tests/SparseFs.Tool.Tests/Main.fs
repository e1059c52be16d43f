module SparseFs.Tests.Main

open System.Reflection
open Expecto

[<EntryPoint>]
let main args =
    let tests =
        Impl.testFromAssembly (Assembly.GetExecutingAssembly())
        |> Option.defaultValue (testList "none" [])

    Closing.run tests args
