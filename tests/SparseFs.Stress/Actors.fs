/// What threads do to one model, over and over.
module SparseFs.Stress.Actors

open System
open System.Collections.Generic
open System.IO
open SparseFs
open SparseFs.Stress.Coded
open SparseFs.Stress.World
open TorchSharp

/// What an actor's work means for what others may meet.
[<RequireQualifiedAccess>]
type Kind =
    /// Changes nothing.
    | Reads
    /// One version takes another's place.
    | Replaces
    /// Another pattern takes over what the weights were.
    | Rewires
    /// Writes numbers where others read them, as torch's own layers have it.
    | Writes
    /// The layer goes elsewhere or away.
    | Moves

type Actor =
    {
        Name: string
        Kind: Kind
        /// Calls in a pair, where a forward has one.
        Share: float
        /// Prepares, on one thread; the result is called on another, with 0, 1, 2 and so on.
        Start: World -> (int -> unit)
    }

let private actor kind name share start =
    { Name = name
      Kind = kind
      Share = share
      Start = start }

let private forward =
    actor Kind.Reads "forward" 1.0 (fun w ->
        fun _ ->
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            w.Check(w.Model.call (probe ())))

/// Of a sum over all outputs, each sample's gradient is the sums of the columns: those of the weights of its own forward.
let private checkGradient (y: float32[]) (gradient: float32[]) =
    let bias = Array.min y

    let expected =
        y
        |> Array.chunkBySize Rows
        |> Array.map (Array.sumBy (fun value -> value - bias))

    for one in Array.chunkBySize Cols gradient do
        if one <> expected then
            failwith "a gradient of other weights than its forward's"

let private backward =
    actor Kind.Reads "forward-backward" 0.5 (fun w ->
        fun _ ->
            use _ = torch.NewDisposeScope()
            let x = (probe ()).requires_grad_ true
            let y = w.Layer.call x
            let found = numbers y
            w.Check y
            y.sum().backward()

            if w.Promise = Promise.OneVersion || w.Promise = Promise.OwnCells then
                match x.grad with
                | null -> failwith "expected a gradient of the input, got none"
                | grad -> checkGradient found (numbers grad))

let private getters =
    actor Kind.Reads "getters" 1.0 (fun w ->
        fun _ ->
            let text = w.Layer.ToString()
            let c = w.Layer.Connectivity

            if
                not (text.Contains "nnz=")
                || c.Rows <> Rows
                || w.Layer.in_features <> int64 Cols
            then
                failwith $"a getter: {text}, {c.Rows}, {w.Layer.in_features}"

            use _ = torch.NewDisposeScope()
            let matrix = w.Layer.weightMatrix ()

            // The output for the probe less its bias, which it does not hold.
            if matrix.dtype = torch.float32 && w.Promise <> Promise.Nothing then
                let transposed = numbers (matrix.t ())

                if
                    seq { 0 .. Versions - 1 }
                    |> Seq.forall (fun version ->
                        (transposed |> Array.map (fun value -> value + biasOf version) |> wrong w.Promise).IsSome)
                then
                    failwith "a matrix of no version")

/// Copies tensors that were read; of an idle model they are what it was made of.
let private copying (w: World) =
    let expected = w.ModelStates(Nnz)[0]

    fun (tensors: seq<struct (string * torch.Tensor)>) ->
        use _ = torch.NewDisposeScope()

        for struct (name, t) in tensors do
            let copy = t.detach().clone()

            if w.IsIdle && not (copy.Equals expected[name]) then
                failwith $"'{name}' is not what it was"

let private entries (state: Dictionary<string, torch.Tensor>) =
    [ for entry in state -> struct (entry.Key, entry.Value) ]

let private looks =
    actor Kind.Reads "state_dict" 1.0 (fun w ->
        let copy = copying w
        fun _ -> copy (entries (w.Model.state_dict ())))

let private looksInScope =
    actor Kind.Reads "state_dict-in-a-scope" 1.0 (fun w ->
        let copy = copying w

        fun _ ->
            use _ = torch.NewDisposeScope()
            copy (entries (w.Model.state_dict ())))

let private buffers =
    actor Kind.Reads "named_buffers" 1.0 (fun w ->
        let copy = copying w
        fun _ -> copy (List.ofSeq (w.Model.named_buffers ())))

let private weights =
    actor Kind.Reads "weight" 1.0 (fun w ->
        fun _ ->
            use _ = torch.NewDisposeScope()
            let weight = numbers (w.Layer.weight.detach().clone().to_type torch.float32)
            let bias = numbers ((biasOfLayer w.Layer).detach().clone().to_type torch.float32)

            if
                w.IsIdle
                && (weight <> weightsOf 0 (patternOf Nnz 0) || bias <> Array.create Rows (biasOf 0))
            then
                failwith "not the weights that it was made with")

/// A file holds one version.
let private checkFile (w: World) (load: torch.nn.Module -> torch.optim.Optimizer -> unit) =
    let struct (other, optimizer) = w.Another()
    load other optimizer
    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()
    w.Check(other.call (probe ()))
    other.Dispose()

/// Saves are checked at each so many: a check takes longer than a save.
[<Literal>]
let private Checked = 4

let private saves =
    actor Kind.Reads "save" 0.2 (fun w ->
        fun i ->
            let file = w.NewFile()
            Checkpoint.save file w.Model

            if i % Checked = 0 then
                checkFile w (fun other _ -> Checkpoint.load file other)

            File.Delete file)

let private progressAt (step: int) : TrainingProgress =
    { Step = int64 step
      Seed = Seed.ofInt 1
      Notes = Dictionary<string, string>() }

/// Saves a run, with its rewirer and what makes one like it for another model, if there is one.
let saveRun (w: World) (rewirer: (Rewirer * (torch.nn.Module -> torch.optim.Optimizer -> Rewirer)) voption) =
    fun (i: int) ->
        let file = w.NewFile()
        Checkpoint.saveTraining (progressAt i) file w.Model w.Optimizer (ValueOption.map fst rewirer)

        if i % Checked = 0 then
            checkFile w (fun other optimizer ->
                let another = rewirer |> ValueOption.map (fun (_, make) -> make other optimizer)
                Checkpoint.resume file other optimizer another |> ignore)

        File.Delete file

let private savesTraining =
    actor Kind.Reads "saveTraining" 0.2 (fun w -> saveRun w ValueNone)

let private exports =
    actor Kind.Reads "export" 0.2 (fun w ->
        let export (layer: SparseLinear) =
            use stream = new MemoryStream()
            Onnx.writeTo Onnx.defaults stream (torch.nn.Sequential(struct ("layer", layer :> Net)))
            stream.ToArray()

        let expected =
            [ for nnz in [ Nnz; Fewer ] do
                  for version in 0 .. Versions - 1 do
                      let layer = layerOf nnz version
                      export layer
                      layer.``to`` torch.float64 |> ignore
                      export layer ]

        fun _ ->
            let found = export w.Layer

            if w.Promise = Promise.OneVersion && not (List.contains found expected) then
                failwith "an export of no version")

/// After a load, on its thread, while nobody else changes the model.
let private checkLoaded (w: World) (nnz: int) (version: int) =
    if w.HasOneWriter then
        w.Expect(outputOf nnz version, "not what this thread has loaded")

let private loads =
    actor Kind.Replaces "load" 0.3 (fun w ->
        let files = w.Files Nnz

        fun i ->
            Checkpoint.load files[i % Versions] w.Model
            checkLoaded w Nnz (i % Versions))

let private loadsOther =
    actor Kind.Replaces "load-of-another-nnz" 0.3 (fun w ->
        let sizes = [| Fewer; Nnz |]
        let files = Array.map w.Files sizes

        fun i ->
            let version = i % Versions
            let file = files[i % 2][version]
            Checkpoint.load file w.Model
            checkLoaded w sizes[i % 2] version)

let private ownLoads =
    actor Kind.Replaces "own-load_state_dict" 0.5 (fun w ->
        for nnz in [ Nnz; Fewer ] do
            w.LayerStates nnz |> ignore

        fun i ->
            let nnz = w.Layer.Connectivity.Nnz
            w.Layer.load_state_dict (w.LayerStates(nnz)[i % Versions], true, null) |> ignore
            checkLoaded w nnz (i % Versions))

let private parentLoads =
    actor Kind.Writes "parent-load_state_dict" 0.5 (fun w ->
        for nnz in [ Nnz; Fewer ] do
            w.ModelStates nnz |> ignore

        fun i ->
            let nnz = w.Layer.Connectivity.Nnz
            w.Model.load_state_dict (w.ModelStates(nnz)[i % Versions], true) |> ignore
            checkLoaded w nnz (i % Versions))

/// Holds the layer's output against its pattern and weights, which nobody else changes.
let checkRewired (w: World) (c: Connectivity) =
    use _ = torch.NewDisposeScope()
    let weights = numbers w.Layer.weight

    if w.Layer.Connectivity <> c then
        failwith "an update was undone"

    let bias = Array.head (numbers (biasOfLayer w.Layer))
    w.Expect(outputBy c weights bias, "another output than pattern and weights have")

/// A pass of a training loop, and what the rewirer makes of it.
let trainBy (w: World) (rewirer: Rewirer) =
    use _ = torch.NewDisposeScope()
    w.Optimizer.zero_grad ()
    (w.Model.call (probe ())).mean().backward()
    rewirer.Step()

let private rewires =
    actor Kind.Rewires "rewire" 0.3 (fun w ->
        let policy = Policy.set (Schedule.constant 0.3 1L Int64.MaxValue)
        let rewirer = new Rewirer(w.Layer, w.Optimizer, policy, Seed.ofInt 1)

        fun _ ->
            trainBy w rewirer |> ignore

            if w.HasOneWriter then
                checkRewired w w.Layer.Connectivity)

let private steps =
    actor Kind.Writes "optimizer-step" 1.0 (fun w ->
        let optimizer = torch.optim.SGD(w.Model.parameters (), 1e-3)

        fun _ ->
            use _ = torch.NewDisposeScope()
            (w.Model.call (probe ())).mean().backward()
            optimizer.step () |> ignore
            optimizer.zero_grad ())

let private moves =
    actor Kind.Moves "to" 0.3 (fun w ->
        fun i -> w.Layer.``to`` (if i % 2 = 0 then torch.float64 else torch.float32) |> ignore)

let private disposes =
    actor Kind.Moves "dispose" 0.0 (fun w ->
        fun _ ->
            Threading.Thread.Sleep 2
            w.Layer.Dispose())

let all: Actor list =
    [ forward
      backward
      getters
      weights
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

let named (name: string) : Actor =
    all |> List.find (fun actor -> actor.Name = name)
