// Learning rates over density, with SμPar (Scaling.suPar) and without. After one build (dotnet fsi build.fsx check):
//   dotnet fsi examples/supar-runs.fsx     some minutes; what is done already is in docs/results/supar.jsonl
//   dotnet fsi examples/supar-report.fsx   writes the table of docs/scaling.md, and its picture
// A GPT of 2 blocks and 128 features on the characters of a book, 300 steps of AdamW at a constant rate after 30 steps of warming up; the loss
// is the mean over the last 50 steps.
#load "language-networks.fsx"
#load "result-lines.fsx"

open System
open System.IO
open System.Text.Json.Nodes
open SparseFs
open TorchSharp
open TorchSharp.Modules
open ``Language-networks``
open ``Result-lines``

torch.set_num_threads 1

let text =
    readText (
        match Array.tail fsi.CommandLineArgs with
        | [| path |] -> path
        | _ -> "../shared/data/text/kjv.txt.gz"
    )

let path =
    Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", "docs", "results", "supar.jsonl"))

let sizes =
    { Blocks = 2
      Features = 128L
      Heads = 4L
      Context = 64L }

let keyOf (o: JsonNode) =
    o["scaled"].GetValue<bool>(), o["density"].GetValue<float>(), o["rate_power"].GetValue<int>()

let train (isScaled: bool) (density: float) (rate: float) : float =
    use _ = torch.NewDisposeScope()
    torch.manual_seed 1L |> ignore

    let blocks: Net[] =
        Array.init sizes.Blocks (fun i ->
            new SparseTransformerBlock(
                int sizes.Features,
                int sizes.Heads,
                sparsity = 1.0 - density,
                seed = Seed.ofInt (10 + i)
            ))

    let model = new Gpt(sizes, text.Characters, blocks)

    let groups =
        // All weights begin at 0.05, where nothing is scaled too.
        let scaled =
            Scaling.suPar (model, 1.0, rate, std = 0.05, baseDensity = 1.0, outputs = [ model.Head ])

        if isScaled then
            scaled
        else
            use _ = torch.no_grad ()

            for m in model.modules () do
                match m with
                | :? SparseLinear as l -> l.weight.normal_ (0.0, 0.05) |> ignore
                | _ -> ()

            [| AdamW.ParamGroup(
                   model.parameters (),
                   AdamW.Options(LearningRate = Nullable rate, weight_decay = Nullable 0.0)
               ) |]

    use optimizer = SparseOptim.adamW (groups, maxNorm = 1.0)
    let rates = optimizer.ParamGroups |> Seq.map _.LearningRate |> Array.ofSeq
    let random = Random 1
    let losses = ResizeArray<float>()

    for step in 1..300 do
        use _ = torch.NewDisposeScope()

        for group, rate in Seq.zip optimizer.ParamGroups rates do
            group.LearningRate <- rate * min 1.0 (float step / 30.0)

        let starts =
            Array.init 12 (fun _ -> random.NextInt64(text.Training.shape[0] - sizes.Context))

        let struct (x, y) = sequences text.Training starts sizes.Context
        optimizer.zero_grad ()

        let loss =
            torch.nn.functional.cross_entropy ((model.call x).view(-1L, text.Characters), y.view -1L)

        loss.backward ()
        optimizer.step () |> ignore

        if step > 250 then
            losses.Add(float (loss.item<float32>()))

    Seq.average losses

let isDone = (read path |> List.map keyOf |> set).Contains

for isScaled in [ true; false ] do
    for density in [ 1.0; 0.25; 0.0625; 0.03125 ] do
        for power in [ -12; -11; -10; -9; -8; -7; -6 ] do
            if not (isDone (isScaled, density, power)) then
                let loss = train isScaled density (2.0 ** float power)
                let o = JsonObject()
                o["scaled"] <- JsonValue.Create isScaled
                o["density"] <- JsonValue.Create density
                o["rate_power"] <- JsonValue.Create power
                // JSON has no number for what has grown beyond all.
                o["loss"] <- JsonValue.Create(if Double.IsFinite loss then Math.Round(loss, 4) else 1e9)
                append path (o.ToJsonString())
                printfn $"scaled {isScaled}, density {density}, rate 2^{power}: loss %.3f{loss}"
