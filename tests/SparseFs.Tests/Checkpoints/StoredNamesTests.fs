/// Names behind the prefixes of wrappers.
module SparseFs.Tests.StoredNamesTests

open System
open System.Collections.Generic
open Expecto
open SparseFs
open SparseFs.Torch
open SparseFs.Tests.CheckpointFiles
open SparseFs.Tests.Refusals
open TorchSharp

let private strictly (prefixes: string list) : LoadOptions =
    { Form = WeightForm.SparseFs
      IsStrict = true
      Converts = false
      Prefixes = prefixes }

let private make () =
    torch.nn.Sequential
        [ struct ("a",
                  new SparseLinear(5, 4, sparsity = 0.5, seed = Seed.ofInt 0)
                  :> torch.nn.Module<torch.Tensor, torch.Tensor>)
          struct ("b", torch.nn.Linear(4L, 2L)) ]

/// A model's file with other names, texts about layers included.
let private renamed (rename: string -> string) (file: string) (model: torch.nn.Module) =
    use _ = torch.NewDisposeScope()
    Checkpoint.save file model
    let texts = (Safetensors.inspect file).Metadata
    let tensors = Safetensors.load file

    Safetensors.save
        file
        (Dictionary(
            texts
            |> Seq.map (fun e -> KeyValuePair(e.Key.Replace("layer.a", "layer." + (rename "a.").TrimEnd '.'), e.Value))
        ))
        (Dictionary(tensors |> Seq.map (fun e -> KeyValuePair(rename e.Key, e.Value))))

[<Tests>]
let storedNamesTests =
    testSequenced
    <| testList
        "StoredNames"
        [ for what, prefixes, rename in
              [ "DataParallel", [ "module." ], (fun name -> "module." + name)
                "torch.compile", [ "_orig_mod." ], (fun name -> "_orig_mod." + name)
                "both", [ "module."; "_orig_mod." ], (fun name -> "module._orig_mod." + name)
                "both the other way", [ "module."; "_orig_mod." ], (fun name -> "_orig_mod.module." + name)
                "a part that is compiled", [ "_orig_mod." ], (fun (name: string) -> name.Replace(".", "._orig_mod."))
                "Lightning", [ "model." ], (fun name -> "model." + name)
                "a prefix of some names only",
                [ "module." ],
                (fun (name: string) -> if name.StartsWith "a" then "module." + name else name) ] do
              testCase $"{what}: names lose it, and without the option the error tells of it" (fun () ->
                  withFile (fun file ->
                      use model = make ()
                      renamed rename file model
                      use loaded = make ()
                      let before = stateOf loaded
                      let e = refusal (fun () -> Checkpoint.load file loaded)
                      Expect.equal e.Problem CheckpointProblem.Mismatch "problem"

                      for prefix in prefixes do
                          Expect.stringContains e.Message $"\"{prefix}\"" "the option's value"

                      Expect.stringContains e.Message "Prefixes = [" "the option"
                      Expect.equal (stateOf loaded) before "as it was"
                      Checkpoint.loadWith (strictly prefixes) file loaded |> ignore
                      Expect.equal (stateOf loaded) (stateOf model) "loaded"))

          testCase "names that have no prefix stay, and no hint is given where none helps" (fun () ->
              withFile (fun file ->
                  use model = make ()
                  Checkpoint.save file model
                  use loaded = make ()
                  Checkpoint.loadWith (strictly [ "module."; "_orig_mod." ]) file loaded |> ignore
                  Expect.equal (stateOf loaded) (stateOf model) "loaded"
                  renamed (fun name -> name.Replace("b.", "d.")) file model
                  let e = refusal (fun () -> Checkpoint.load file loaded)
                  Expect.isFalse (e.Message.Contains "Prefixes") e.Message))

          testCase "two names that become one are refused" (fun () ->
              withFile (fun file ->
                  use _ = torch.NewDisposeScope()

                  Safetensors.save
                      file
                      (readOnlyDict [])
                      (readOnlyDict [ "weight", torch.ones (2L, 4L); "module.weight", torch.ones (2L, 4L) ])

                  use model = torch.nn.Linear(4L, 2L, hasBias = false)

                  refusedAs CheckpointProblem.Mismatch "two names of the file become this one" (fun () ->
                      Checkpoint.loadWith (strictly [ "module." ]) file model |> ignore)))

          testCase "a name of megabytes costs no more than its length" (fun () ->
              let long = String.replicate 1_000_000 "module."
              let watch = Diagnostics.Stopwatch.StartNew()
              Expect.equal (StoredNames.strip [ "module." ] (long + "x")) "x" "stripped"
              Expect.equal (StoredNames.hint [ long + "x" ] [ "x" ]) "" "no model has such names"
              // Quadratic work takes minutes.
              Expect.isLessThan watch.Elapsed (TimeSpan.FromSeconds 20.0) "time")

          for what, prefix in [ "empty", ""; "without a dot", "module"; "null", Unchecked.defaultof<_> ] do
              refuses $"a prefix that is {what}" "prefixes" "end in a dot" (fun () ->
                  use model = torch.nn.Linear(4L, 2L)
                  Checkpoint.loadWith (strictly [ prefix ]) "x" model) ]
