module SparseFs.Tests.Main

open System.Reflection
open Expecto

let private runTests (args: string[]) =
    let tests =
        Impl.testFromAssembly (Assembly.GetExecutingAssembly())
        |> Option.defaultValue (testList "none" [])

    Closing.run tests args

/// Tests that need a process of their own start this program anew, with a name of what it is to do.
[<EntryPoint>]
let main args =
    match args with
    | [| "--child-run"; file |] -> ResumeTests.childRun file
    | [| "--child-saves"; what; file |] -> CheckpointKillTests.child what file
    | [| "--write-fixtures"; folder |] ->
        Fixtures.writeAll folder
        0
    | [| "--stress"; scenario; times |] -> SparseFs.Stress.Running.here scenario (int times)
    | [| "--child-files"; folder |] -> AtomicFileTests.child folder
    | [| "--child-file"; file |] -> AtomicFileTests.childFile file
    | _ -> runTests args
