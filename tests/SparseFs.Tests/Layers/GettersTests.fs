/// A getter reads: whoever watches a layer changes nothing.
module SparseFs.Tests.GettersTests

open System
open System.Collections.Generic
open System.Reflection
open Expecto
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// Reads all public properties and the text of an object, as a debugger's window does.
let private watch (subject: obj) : int =
    let properties =
        subject.GetType().GetProperties(BindingFlags.Public ||| BindingFlags.Instance)
        |> Array.filter (fun p -> p.CanRead && p.GetIndexParameters().Length = 0)

    for p in properties do
        try
            p.GetValue subject |> ignore
        with :? TargetInvocationException ->
            () // a window shows the exception

    subject.ToString() |> ignore
    properties.Length

let private numbers (t: torch.Tensor) : float32[] =
    use _ = torch.no_grad ()
    t.detach().to_type(torch.ScalarType.Float32).data<float32>().ToArray()

/// All that a training run of a sparse layer, K-winners and a rewirer comes to.
let private train (isWatched: bool) =
    torch.manual_seed 3L |> ignore
    use layer = new SparseLinear(Topology.uniform 24 16 90 (Seed.ofInt 1))

    use winners =
        new KWinners(
            24,
            { KWinnersOptions.ofSparsity 0.5 with
                Boost = Boost.Exponential 1.5 }
        )

    use output = new SparseLinear(Topology.uniform 4 24 40 (Seed.ofInt 2))
    use model = torch.nn.Sequential(layer, winners, output)
    use optimizer = torch.optim.Adam(model.parameters (), 0.01)

    let policy =
        { Policy.snfs (Schedule.constant 0.3 3L 30L) with
            GrownWeight = GrownWeight.Normal 0.1 } // draws

    use rewirer = new Rewirer(model, optimizer, policy, Seed.ofInt 4)

    let look () =
        if isWatched then
            for subject in [ layer :> obj; winners; output; rewirer; model; optimizer ] do
                Expect.isGreaterThan (watch subject) 0 "not vacuous"

    let random = Random 5
    let events = List<RewireOutcome>()

    for _ in 1..12 do
        use _ = torch.NewDisposeScope()
        look ()
        optimizer.zero_grad ()

        let x =
            torch.tensor(Array.init (8 * 16) (fun _ -> random.NextSingle() - 0.5f)).reshape(8L, 16L)

        let loss = (model.call x).square().mean()
        look ()
        loss.backward ()
        look ()

        for e in rewirer.Step() do
            events.Add e.Outcome

        look ()

    [ for l in [ layer; output ] -> l.Connectivity, numbers l.weight, numbers l.PresentBias ],
    winners.DutyCycles(),
    winners.SamplesSeen,
    List.ofSeq events,
    (let state = rewirer.Capture() in state.Step, state.Seed, state.Explored, state.Passes, state.Ages)

let private layerOf (version: int) : SparseLinear =
    let layer = new SparseLinear(Topology.uniform 12 10 36 (Seed.ofInt version))
    use _ = torch.no_grad ()
    layer.weight.fill_ ((float32 version).ToScalar()) |> ignore
    layer.PresentBias.fill_ ((float32 version).ToScalar()) |> ignore
    layer

let private outputOf (layer: SparseLinear) : float32[] =
    use _ = torch.no_grad ()
    use x = torch.eye 10L
    use y = layer.call x
    numbers y

/// A parent's load that is looked at after each tensor that it copies.
let private load (isWatched: bool) (layer: SparseLinear) (source: (string * torch.Tensor) list) : unit =
    use _ = torch.no_grad ()
    let shown = layer.state_dict ()

    for key, values in source do
        shown[key].copy_ values |> ignore

        if isWatched then
            watch layer |> ignore

let private stateOf (layer: SparseLinear) (keys: string list) : (string * torch.Tensor) list =
    let state = layer.state_dict ()
    [ for key in keys -> key, state[key].detach().clone() ]

[<Tests>]
let getters =
    testSequenced
    <| testList
        "Getters"
        [ testCase "a training run that is watched is the run that is not" (fun () ->
              let unwatched = train false
              let _, _, _, outcomes, _ = unwatched
              Expect.isTrue (outcomes |> List.exists _.IsDone) "not vacuous"
              Expect.equal (train true) unwatched "everything")

          for keys in
              [ [ "row_ptr"; "col_idx"; "weight"; "bias" ]
                [ "bias"; "weight"; "col_idx"; "row_ptr" ]
                [ "col_idx"; "weight"; "row_ptr"; "bias" ] ] do
              testCase $"""a load that is watched is the load that is not: {String.Join(", ", keys)}""" (fun () ->
                  use source = layerOf 2
                  let wanted = outputOf source

                  for isWatched in [ false; true ] do
                      use layer = layerOf 1
                      load isWatched layer (stateOf source keys)
                      Expect.equal (outputOf layer) wanted $"watched: {isWatched}"
                      Expect.equal layer.Connectivity source.Connectivity "pattern")

          testCase "getters show what was loaded, and refuse what is no pattern as often as they are asked" (fun () ->
              use source = layerOf 2
              use layer = layerOf 1
              load false layer (stateOf source [ "row_ptr"; "col_idx"; "weight"; "bias" ])
              Expect.equal layer.Connectivity source.Connectivity "loaded"
              use spoiled = layerOf 1
              let before = spoiled.Connectivity
              let wanted = outputOf spoiled
              load true spoiled [ "col_idx", torch.full ([| 36L |], (7).ToScalar(), dtype = torch.int32) ]

              for _ in 1..2 do
                  Expect.throwsT<ArgumentException> (fun () -> spoiled.Connectivity |> ignore) "getter"

              Expect.stringContains (spoiled.ToString()) "nnz=36" "a text at any time"
              Expect.throwsT<ArgumentException> (fun () -> outputOf spoiled |> ignore) "the use that goes back"
              Expect.equal (spoiled.Connectivity, outputOf spoiled) (before, wanted) "as it was") ]
