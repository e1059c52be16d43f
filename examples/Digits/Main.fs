module Digits.Main

open System.IO
open System.Reflection
open Argu
open SparseFs
open TorchSharp

/// The digits that travel in this program.
let private embedded () =
    let openFile (name: string) : Stream =
        match Assembly.GetExecutingAssembly().GetManifestResourceStream name with
        | null -> raise (FileNotFoundException $"expected the digits '{name}' in this program, got none")
        | digits -> digits

    Idx.read "embedded" openFile Idx.trainFiles, Idx.read "embedded" openFile Idx.testFiles

let private demo (options: Options) =
    let train, test =
        match options.Data with
        | Some folder -> Idx.ofFolder folder
        | None -> embedded ()

    torch.set_num_threads options.Threads
    torch.manual_seed (int64 options.Seed) |> ignore

    let start, seed =
        Dynamics.startOf options.Dynamic options.Sparsity, Seed.ofInt options.Seed

    use sparse =
        if options.IsCnn then
            Network.sparseCnn start seed
        else
            Network.sparse options.Topology start options.Winners seed

    use dense =
        if options.IsCnn then
            Network.denseCnn ()
        else
            Network.dense options.Winners

    let course = options.Course
    let steps = Training.steps course train.Labels.Length
    printfn $"{train.Labels.Length} digits to learn from, {test.Labels.Length} to be tested on"

    let wiring =
        if options.IsCnn then
            "convolutions, erk"
        else
            options.Topology

    printfn
        $"{wiring}, sparsity {options.Sparsity}, seed {options.Seed}, threads {options.Threads}, batch {course.Batch},"

    let schedule =
        RateSchedule.named |> List.find (fun (_, s) -> s = course.Schedule) |> fst

    printfn
        $"learning rates {course.SparseRate} and {course.DenseRate}, {schedule}, weight decay {course.Decay}, moved by up to {course.Shift} pixels"

    options.Winners
    |> Option.iter (fun part -> printfn $"k-winners silence {part} of the hidden units of both networks")

    let events = ResizeArray<RewireEvent>()

    let frames = ResizeArray<Frame>()

    let addFrame step =
        frames.Add
            { Step = step
              FanOut = Connectivity.fanOut (Network.input sparse).Connectivity }

    let writeFrames path =
        let how = options.Dynamic |> Option.map _.Name |> Option.defaultValue "static"

        let title =
            $"Where the pixels go: {how}, {options.Topology}, sparsity {options.Sparsity}, seed {options.Seed}"

        Frames.write path (Frames.page title (Frames.inked train) (List.ofSeq frames))

    if options.Frames.IsSome then
        addFrame 0L

    // Whether the page can be written is known before anything is trained.
    Option.iter writeFrames options.Frames

    let rewirerOf (optimizer: torch.optim.Optimizer) =
        options.Dynamic
        |> Option.map (fun d ->
            let rewirer =
                Dynamics.rewirer d options.Sparsity steps (Seed.ofInt options.Seed) sparse optimizer

            rewirer.Events.Add events.Add

            if options.Frames.IsSome then
                let chosen = Frames.chosen (Dynamics.updates d steps) |> List.map ((*) d.DeltaT)

                rewirer.Events.Add(fun e ->
                    if e.Layer = Network.Input && List.contains e.Step chosen then
                        addFrame e.Step)

            printfn $"rewired by {d.Name}, every {d.DeltaT} steps, at first {d.Alpha} of the slots"
            rewirer)

    let test = Training.samples test

    let epochs =
        Training.run course (Training.samples train) test sparse dense rewirerOf
        |> Report.watching course.Epochs (2.0 * float steps)

    let rewiring =
        if events.Count > 0 then
            Some(Dynamics.summary sparse (List.ofSeq events))
        else
            None

    for path in Option.toList options.Frames do
        writeFrames path
        printfn $"{frames.Count} frames of the pixels' slots: {path}"

    let comparison =
        Comparison.ofReads (Training.reads sparse test) (Training.reads dense test)

    Report.closing sparse dense rewiring comparison epochs

[<EntryPoint>]
let main arguments =
    try
        demo (Options.parse arguments)
        0
    with
    | :? ArguParseException as e when e.ErrorCode = ErrorCode.HelpText ->
        printfn $"{e.Message}"
        0
    | :? ArguParseException as e ->
        eprintfn $"{e.Message}"
        2
    | :? IdxException
    | :? FramesException as e ->
        eprintfn $"{e.Message}"
        2
