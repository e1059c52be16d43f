/// Files that were sound, spoilt in thousands of ways: each is refused with the one typed error and leaves no trace, or it
/// is a checkpoint of the same structure.
module SparseFs.Tests.CheckpointFuzzTests

open System
open System.Collections.Generic
open System.IO
open System.Text
open System.Text.Json.Nodes
open Expecto
open SparseFs
open SparseFs.Tests.CheckpointFiles
open TorchSharp
open TorchSharp.Modules

/// 10,000, or what the environment says.
let private mutations =
    match Int32.TryParse(Environment.GetEnvironmentVariable "SPARSEFS_FUZZ") with
    | true, count when count > 0 -> count
    | _ -> 10_000

// ---------------------------------------------------------------------------------------------------------
// What is loaded into
// ---------------------------------------------------------------------------------------------------------

/// A model, its optimizer and its rewirer after some steps.
type private Subject() =
    let hidden = new SparseLinear(Topology.uniform 6 5 9 (Seed.ofInt 1))

    let output =
        new SparseLinear(Topology.uniform 3 6 7 (Seed.ofInt 2), hasBias = false)

    let model =
        torch.nn.Sequential(hidden, torch.nn.BatchNorm1d 6L, torch.nn.ReLU(), output)

    let optimizer = torch.optim.Adam(model.parameters (), 0.01)

    let rewirer =
        new Rewirer(model, optimizer, Policy.snfs (Schedule.constant 0.3 3L 30L), Seed.ofInt 4)

    do
        for _ in 1..4 do
            use _ = torch.NewDisposeScope()
            optimizer.zero_grad ()
            model.call(torch.randn (3L, 5L)).square().mean().backward()
            rewirer.Step() |> ignore

    member _.Model = model
    member _.Optimizer = optimizer
    member _.Rewirer = rewirer

    /// Every number of it.
    member _.Everything =
        use _ = torch.NewDisposeScope()

        let moments =
            [ for state in (optimizer :> OptimizerHelper).state_dict().State do
                  let state = state :?> Adam.State
                  state.step, bytesOf state.exp_avg, bytesOf state.exp_avg_sq ]

        let explored = rewirer.Capture().Explored |> Array.map (fun (_, e) -> e.Count)
        stateOf model, moments, rewirer.Steps, explored

    /// That the kernels can be trusted with it.
    member _.ExpectSound() =
        use _ = torch.NewDisposeScope()

        for layer in [ hidden; output ] do
            let c = layer.Connectivity

            let copy =
                Connectivity.tryCreate c.Rows c.Cols (c.RowPtr.ToArray()) (c.ColIdx.ToArray())

            Expect.equal copy (Ok c) "a pattern"
            Expect.equal layer.weight.shape [| int64 c.Nnz |] "its weights"

        Expect.equal (hidden.in_features, hidden.out_features) (5L, 6L) "sizes"
        Expect.equal (output.in_features, output.out_features) (6L, 3L) "sizes"
        Expect.equal (model.call (torch.ones (2L, 5L))).shape [| 2L; 3L |] "it runs"

    member _.ExpectTrains() =
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        model.call(torch.ones (2L, 5L)).sum().backward()
        rewirer.Step() |> ignore

type private Kind =
    { Name: string
      Save: Subject -> string -> unit
      Load: Subject -> string -> unit
      IsTraining: bool }

let private kinds =
    let noNotes = Dictionary<string, string>()

    [ { Name = "a model"
        Save = fun s file -> Checkpoint.save file s.Model
        Load = fun s file -> Checkpoint.load file s.Model
        IsTraining = false }
      { Name = "pairs, loaded loosely"
        Save = fun s file -> Checkpoint.saveWith PatternLayout.Coo noNotes file s.Model
        Load =
          fun s file ->
              let options =
                  { Form = WeightForm.SparseFs
                    IsStrict = false
                    Prefixes = []
                    Converts = true }

              Checkpoint.loadWith options file s.Model |> ignore
        IsTraining = false }
      { Name = "a training run"
        Save =
          fun s file ->
              let progress =
                  { Step = 4L
                    Seed = Seed.ofInt 1
                    Notes = noNotes }

              Checkpoint.saveTraining progress file s.Model s.Optimizer (ValueSome s.Rewirer)
        Load = fun s file -> Checkpoint.resume file s.Model s.Optimizer (ValueSome s.Rewirer) |> ignore
        IsTraining = true } ]

// ---------------------------------------------------------------------------------------------------------
// Spoiling
// ---------------------------------------------------------------------------------------------------------

let private pick (random: Random) (choices: 'a list) = choices[random.Next choices.Length]

let private flip (random: Random) (bytes: byte[]) =
    if bytes.Length > 0 then
        let at = random.Next bytes.Length
        bytes[at] <- bytes[at] ^^^ (1uy <<< random.Next 8)

    bytes

let private cut (random: Random) (bytes: byte[]) =
    Array.truncate (random.Next(bytes.Length + 1)) bytes

let private insert (random: Random) (bytes: byte[]) =
    let extra: byte[] = Array.zeroCreate (random.Next 17)
    random.NextBytes extra
    Array.insertManyAt (random.Next(bytes.Length + 1)) extra bytes

/// Numbers that break things.
let private strange (random: Random) : int64 =
    pick
        random
        [ 0L
          1L
          -1L
          2L
          255L
          2147483647L
          -2147483648L
          4294967296L
          Int64.MaxValue
          random.Next 100 ]

/// Overwrites some number of the data, at the size of one of the dtypes.
let private overwrite (random: Random) (data: byte[]) =
    let size = pick random [ 1; 4; 8 ]

    if data.Length >= size then
        let at = random.Next(data.Length / size) * size
        Array.blit (BitConverter.GetBytes(strange random)) 0 data at size

    data

/// One change to a tensor's entry or to a text.
let private node (parent: JsonObject) (key: string) : JsonNode = present key parent[key]

let private editHeader (random: Random) (header: JsonObject) : unit =
    let names =
        [ for entry in header do
              if entry.Key <> "__metadata__" then
                  entry.Key ]

    let name = pick random names
    let entry = (node header name).AsObject()
    let numbers (key: string) = (node entry key).AsArray()

    let change (numbers: JsonArray) =
        if numbers.Count > 0 then
            let at = random.Next numbers.Count
            let now = (present "a number" numbers[at]).GetValue<int64>()
            numbers[at] <- JsonValue.Create(pick random [ now + 1L; now - 1L; now * 2L; strange random ])

    match random.Next 10 with
    | 0 -> change (numbers "shape")
    | 1 -> change (numbers "data_offsets")
    | 2 ->
        entry["dtype"] <-
            JsonValue.Create(
                pick
                    random
                    [ "F64"
                      "F32"
                      "F16"
                      "BF16"
                      "I64"
                      "I32"
                      "U8"
                      "BOOL"
                      "U64"
                      "F8_E4M3"
                      "F4"
                      "" ]
            )
    | 3 -> header.Remove name |> ignore
    | 4 ->
        let moved = entry.DeepClone()
        header.Remove name |> ignore
        header[pick random [ name + "x"; ""; "@" + name; pick random names + "." ]] <- moved
    | 5 ->
        // Two tensors change places.
        let other = (node header (pick random names)).AsObject()

        let theirs, ours =
            (node other "data_offsets").DeepClone(), (node entry "data_offsets").DeepClone()

        other["data_offsets"] <- ours
        entry["data_offsets"] <- theirs
    | 6 -> (numbers "shape").Add(JsonValue.Create(strange random))
    | 7 ->
        let shape = numbers "shape"

        if shape.Count > 0 then
            shape.RemoveAt(random.Next shape.Count)
    | _ ->
        let texts = (node header "__metadata__").AsObject()
        let key = pick random [ for text in texts -> text.Key ]
        let text = (node texts key).GetValue<string>()

        let edited =
            match random.Next 5 with
            | 0 -> ""
            | 1 ->
                Text.RegularExpressions
                    .Regex("[0-9.]+")
                    .Replace(
                        text,
                        pick random [ "NaN"; "-1"; "1e999"; "99999999999999999999"; "0" ],
                        1,
                        random.Next(text.Length + 1)
                    )
            | 2 -> text + pick random [ " x=1"; " step=1"; "="; " " ]
            | 3 -> Encoding.Latin1.GetString(flip random (Encoding.Latin1.GetBytes text))
            | _ -> text.Replace("True", "False")

        if random.Next 8 = 0 then
            texts.Remove key |> ignore
        else
            texts[key] <- JsonValue.Create edited

let private spoil (random: Random) (file: byte[]) : byte[] =
    let split (bytes: byte[]) =
        let length = int (BitConverter.ToUInt64(bytes, 0))
        bytes[8 .. 7 + length], bytes[8 + length ..]

    let joined (header: byte[]) (data: byte[]) =
        Array.concat [ BitConverter.GetBytes(uint64 header.LongLength); header; data ]

    let once (bytes: byte[]) =
        match random.Next 12 with
        | 0 -> flip random bytes
        | 1 -> cut random bytes
        | 2 -> insert random bytes
        | 3 ->
            let header, data = split bytes
            joined (flip random header) data
        | 4 ->
            let header, data = split bytes
            joined header (overwrite random data)
        | 5 ->
            let header, data = split bytes
            joined header (pick random [ cut; insert; flip ] random data)
        | 6 ->
            let header, data = split bytes
            joined (pick random [ cut; insert ] random header) data
        | _ ->
            let header, data = split bytes

            let json =
                (present "a header" (JsonNode.Parse(Encoding.UTF8.GetString header))).AsObject()

            editHeader random json
            joined (Encoding.UTF8.GetBytes(json.ToJsonString())) data

    // After some changes a file cannot be taken apart any more; then they are enough.
    let mutable bytes = Array.copy file
    let mutable left = 1 + random.Next 3

    while left > 0 do
        left <- left - 1

        try
            bytes <- once bytes
        with _ ->
            left <- 0

    bytes

let private fuzz (kind: Kind) =
    testCase $"{kind.Name}: spoilt files are refused without a trace, or are checkpoints" (fun () ->
        withFile (fun file ->
            torch.manual_seed 6L |> ignore
            let subject = Subject()
            kind.Save subject file
            let sound = File.ReadAllBytes file
            let saved = subject.Everything
            let mutable refused, taken = 0, 0

            let run (seed: int) =
                let bytes = spoil (Random seed) sound
                File.WriteAllBytes(file, bytes)
                let before = GC.GetAllocatedBytesForCurrentThread()

                let isTaken =
                    try
                        kind.Load subject file
                        true
                    with :? CheckpointException as e ->
                        Expect.equal e.File file "the file"
                        Expect.isNotEmpty e.Reason "a reason"
                        false

                let allocated = GC.GetAllocatedBytesForCurrentThread() - before
                Expect.isLessThan allocated (1_000_000L + 64L * bytes.LongLength) "memory"

                if isTaken then
                    taken <- taken + 1
                    subject.ExpectSound()

                    if kind.IsTraining then
                        subject.ExpectTrains()

                    File.WriteAllBytes(file, sound)
                    kind.Load subject file
                else
                    refused <- refused + 1

                Expect.equal subject.Everything saved "as it was"

            for seed in 1 .. mutations / kinds.Length do
                try
                    run seed
                with e ->
                    failtest $"with seed {seed}: {e}"

            Expect.isGreaterThan refused (mutations / 10) "not vacuous: refused"
            Expect.isGreaterThan taken (mutations / 300) "not vacuous: taken"))

[<Tests>]
let checkpointFuzzTests =
    testSequenced <| testList "CheckpointFuzz" (List.map fuzz kinds)
