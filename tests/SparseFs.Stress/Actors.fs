/// What threads do to one model, over and over.
module SparseFs.Stress.Actors

open System
open System.Collections.Generic
open System.IO
open SparseFs
open SparseFs.Stress.Coded
open SparseFs.Stress.World
open TorchSharp

/// What an actor's work means for what others may expect.
[<RequireQualifiedAccess>]
type Kind =
    /// Changes nothing.
    | Reads
    /// Changes the layer; every other call meets the old or the new version.
    | Changes
    /// As Changes, but others may meet values in the middle of it, as with torch's own layers.
    | Mixes
    /// The layer goes elsewhere or away.
    | Moves

type Actor =
    {
        Name: string
        Kind: Kind
        /// Calls in a pair, where a forward has this many; files cost more.
        Share: float
        Start: World -> (int -> unit)
    }

let private forward (w: World) =
    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()
    use x = probe ()
    w.Check(w.Model.call x)

let private reads name share start =
    { Name = name
      Kind = Kind.Reads
      Share = share
      Start = start }

let private forwards = reads "forward" 1.0 (fun w -> fun _ -> forward w)

let private backwards =
    reads "forward-backward" 0.5 (fun w ->
        fun _ ->
            use _ = torch.NewDisposeScope()
            let x = (probe ()).requires_grad_ true
            let y = w.Model.call x
            w.Check y
            y.sum().backward()
            let got = numbers x.grad

            // Each sample is one column, so that each gradient is the sums of the columns of one version.
            if w.IsStrict then
                let first = got[0 .. Cols - 1]

                for sample in 1 .. Cols - 1 do
                    if got[sample * Cols .. (sample + 1) * Cols - 1] <> first then
                        failwith "samples of several versions in one backward")

let private getters =
    reads "getters" 1.0 (fun w ->
        fun _ ->
            let text = w.Layer.ToString()
            let c = w.Layer.Connectivity

            if
                not (text.Contains "nnz=")
                || c.Rows <> Rows
                || w.Layer.in_features <> int64 Cols
            then
                failwith "a getter"

            if w.Layer.weight.dim () <> 1L || isNull w.Layer.bias then
                failwith "a parameter"

            use _ = torch.NewDisposeScope()
            let matrix = w.Layer.weightMatrix ()

            if w.IsStrict && matrix.dtype = torch.float32 then
                match wrongMatrix (numbers matrix) with
                | ValueSome what -> failwith what
                | ValueNone -> ())

let private copyAll (tensors: seq<torch.Tensor>) =
    use _ = torch.NewDisposeScope()

    for t in tensors do
        t.detach().clone() |> ignore

let private looks =
    reads "state_dict" 1.0 (fun w -> fun _ -> copyAll (w.Model.state_dict().Values))

let private looksInScope =
    reads "state_dict-in-a-scope" 1.0 (fun w ->
        fun _ ->
            use _ = torch.NewDisposeScope()
            copyAll (w.Model.state_dict().Values))

let private buffers =
    reads "named_buffers" 1.0 (fun w -> fun _ -> copyAll [ for struct (_, t) in w.Model.named_buffers () -> t ])

/// A file holds one version.
let private checkFile (w: World) (file: string) =
    let struct (_, other) = w.Another()
    Checkpoint.load file other
    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()
    w.Check(other.call (probe ()))
    other.Dispose()
    File.Delete file

let private saves =
    reads "save" 0.1 (fun w ->
        fun _ ->
            let file = w.NewFile()
            Checkpoint.save file w.Model

            if w.IsStrict then
                checkFile w file)

let private savesTraining =
    reads "saveTraining" 0.1 (fun w ->
        fun i ->
            let file = w.NewFile()

            let progress: TrainingProgress =
                { Step = int64 i
                  Seed = Seed.ofInt 1
                  Notes = Dictionary<string, string>() }

            Checkpoint.saveTraining progress file w.Model w.Optimizer ValueNone
            File.Delete file)

let private exports =
    reads "export" 0.1 (fun w ->
        fun _ ->
            let file = w.NewFile()
            Onnx.export file (torch.nn.Sequential w.Layer)
            File.Delete file)

let private changes name share start =
    { Name = name
      Kind = Kind.Changes
      Share = share
      Start = start }

let private loads =
    changes "load" 0.2 (fun w ->
        let files = w.Files
        fun i -> Checkpoint.load files[i % Versions] w.Model)

let private loadsOther =
    changes "load-of-another-nnz" 0.2 (fun w ->
        let files = [| yield! w.Files; yield! w.OtherFiles |]
        fun i -> Checkpoint.load files[(i * 3) % files.Length] w.Model)

let private ownLoads =
    changes "own-load_state_dict" 0.5 (fun w ->
        let states = w.LayerStates

        fun i ->
            let state = states[i % Versions]

            // After loads of other sizes there is nothing to load into.
            if w.Layer.Connectivity.Nnz = Nnz then
                w.Layer.load_state_dict (state, true, null) |> ignore)

let private parentLoads =
    { Name = "parent-load_state_dict"
      Kind = Kind.Mixes
      Share = 0.5
      Start =
        fun w ->
            let states = w.ModelStates

            fun i ->
                if w.Layer.Connectivity.Nnz = Nnz then
                    w.Model.load_state_dict (states[i % Versions], true) |> ignore }

let private rewires =
    changes "rewire" 0.2 (fun w ->
        let rewirer =
            Rewirer(w.Layer, w.Optimizer, Policy.set (Schedule.constant 0.3 1L Int64.MaxValue), Seed.ofInt w.Seed)

        fun _ -> rewirer.Step() |> ignore)

let private steps =
    { Name = "optimizer-step"
      Kind = Kind.Mixes
      Share = 1.0
      Start =
        fun w ->
            let optimizer = torch.optim.SGD(w.Model.parameters (), 1e-3)

            fun _ ->
                use _ = torch.NewDisposeScope()
                let loss = (w.Model.call (probe ())).mean()
                loss.backward ()
                optimizer.step () |> ignore
                optimizer.zero_grad () }

let private moves =
    { Name = "to"
      Kind = Kind.Moves
      Share = 0.2
      Start = fun w -> fun i -> w.Layer.``to`` (if i % 2 = 0 then torch.float64 else torch.float32) |> ignore }

let private disposes =
    { Name = "dispose"
      Kind = Kind.Moves
      Share = 0.0
      Start =
        fun w ->
            fun _ ->
                Threading.Thread.Sleep 2
                w.Layer.Dispose() }

let all: Actor list =
    [ forwards
      backwards
      getters
      looks
      looksInScope
      buffers
      saves
      savesTraining
      exports
      loads
      loadsOther
      ownLoads
      parentLoads
      rewires
      steps
      moves
      disposes ]
