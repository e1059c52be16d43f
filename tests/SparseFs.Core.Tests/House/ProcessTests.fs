/// The core without torch: nothing of it is beside the program, nor in its memory.
module SparseFs.Tests.ProcessTests

open System
open System.Diagnostics
open System.IO
open System.Reflection
open Expecto
open SparseFs
open SparseFs.CSharp

let private isTorch (path: string) =
    let name = (present "the name of a file" (Path.GetFileName path)).ToLowerInvariant()

    [ "torch"; "libc10"; "libgomp"; "libiomp" ]
    |> List.exists (fun (word: string) -> name.Contains word)

[<Tests>]
let processTests =
    testList
        "Without torch"
        [ testCase "no file of torch lies beside the program" (fun () ->
              let files =
                  Directory.GetFiles(AppContext.BaseDirectory, "*", SearchOption.AllDirectories)

              Expect.exists files (fun file -> Path.GetFileName file = "SparseFs.Core.dll") "not vacuous"
              Expect.isEmpty (files |> Array.filter isTorch) "files")

          testCase "no library of torch is in the process" (fun () ->
              // Something of the core has run, and of its face for C#.
              Expect.equal (Topology.uniform 3 4 5 (Seed.ofInt 1)).Nnz 5 "a pattern"

              Expect.equal
                  (Topologies.Uniform(3, 4, 5, Seeds.FromInt 1))
                  (Topology.uniform 3 4 5 (Seed.ofInt 1))
                  "in C#"

              Expect.isEmpty
                  (AppDomain.CurrentDomain.GetAssemblies()
                   |> Array.filter (fun a -> isTorch (present "a name" (a.GetName().Name))))
                  "assemblies"

              // macOS does not tell.
              if not (OperatingSystem.IsMacOS()) then
                  let loaded =
                      [| use self = Process.GetCurrentProcess()
                         for part in self.Modules -> present "a file" part.FileName |]

                  Expect.exists loaded (fun path -> path.Contains "coreclr") "not vacuous"
                  Expect.isEmpty (loaded |> Array.filter isTorch) "libraries")

          testCase "the core references FSharp.Core and .NET alone, its face for C# the core beside" (fun () ->
              let othersOf (assembly: Assembly) =
                  assembly.GetReferencedAssemblies()
                  |> Array.map (fun other -> present "a name" other.Name)
                  |> Array.filter (fun name ->
                      name <> "netstandard"
                      && not (name.StartsWith("System.", StringComparison.Ordinal)))
                  |> Array.sort

              Expect.equal (othersOf typeof<Connectivity>.Assembly) [| "FSharp.Core" |] "the core"
              Expect.equal (othersOf typeof<Topologies>.Assembly) [| "FSharp.Core"; "SparseFs.Core" |] "for C#") ]
