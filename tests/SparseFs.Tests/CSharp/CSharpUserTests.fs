/// What tests/SparseFs.CSharpUser, which is compiled by the C# compiler, does when it runs.
module SparseFs.Tests.CSharpUserTests

open System
open System.Reflection
open Expecto
open SparseFs
open SparseFs.CSharp
open SparseFs.CSharpUser
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.PublicSurface
open TorchSharp

/// The overrides of a type's own, each with what it overrides in torch.
let private overrides (t: Type) : (MethodInfo * MethodInfo) list =
    let everything =
        BindingFlags.Public
        ||| BindingFlags.NonPublic
        ||| BindingFlags.Instance
        ||| BindingFlags.DeclaredOnly

    let rec overridden (f: MethodInfo) (t: Type | null) : MethodInfo option =
        match t with
        | null -> None
        | t ->
            t.GetMethods everything
            |> Array.tryFind (fun other ->
                other.Module.Assembly = typeof<torch>.Assembly
                && other.GetBaseDefinition() = f.GetBaseDefinition())
            |> Option.orElseWith (fun () -> overridden f t.BaseType)

    [ for f in t.GetMethods everything do
          if f.GetBaseDefinition() <> f then
              match overridden f t.BaseType with
              | Some torchs -> f, torchs
              | None -> () ]

/// How C# may call a method without some of its arguments, or with their names.
let private defaults (f: MethodInfo) =
    [ for p in f.GetParameters() do
          if p.IsOptional then
              $"{p.Name} = {p.DefaultValue}" ]

[<Tests>]
let cSharpUserTests =
    testSequenced
    <| testList
        "CSharpUser"
        [ testCase "every override of one of torch's members has its defaults, by its names" (fun () ->
              let ours =
                  [ for assembly in [ core; layers; onnx; inference; deploy; facade; coreFacade ] do
                        for t in assembly.GetTypes() do
                            for ours, torchs in overrides t -> t, ours, torchs ]

              let having =
                  ours |> List.filter (fun (_, _, torchs) -> not (defaults torchs).IsEmpty)

              Expect.isGreaterThan having.Length 5 "not vacuous"

              let differing =
                  [ for t, ours, torchs in ours do
                        if defaults ours <> defaults torchs then
                            $"{typeName t}.{ours.Name}: expected {defaults torchs}, got {defaults ours}" ]

              Expect.equal differing [] "defaults")

          testCase "members of torch.nn.Linear are called on our layers as on it" (fun () ->
              withFile (fun file ->
                  Expect.equal (TorchMembers.OfLinear file) [| "weight"; "bias" |] "torch's"

                  Expect.equal
                      (TorchMembers.OfSparseLinear file)
                      [| "weight"; "bias"; "row_ptr"; "col_idx" |]
                      "SparseLinear"

                  let buffers = [| "duty_cycle"; "samples_seen"; "boost_strength" |]
                  Expect.equal (TorchMembers.OfKWinners file) buffers "KWinners"
                  Expect.equal (TorchMembers.OfKWinners2d file) buffers "KWinners2d"))

          testCase "names of System mean what they mean without us" (fun () ->
              Expect.equal (DefaultUsings.UseAsync().Result) "23 2" "what they say") ]
