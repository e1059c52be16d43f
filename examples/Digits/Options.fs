namespace Digits

open System
open Argu

/// <summary>What the demo does unless it is told otherwise.</summary>
/// <remarks>The batch is that of SparseLinear's notebook. What the search of examples/demo-runs.fsx chose for the digits that
/// the demo carries, alike for both networks, is in docs/results/demo.md: epochs, decay, and each network's rate.</remarks>
module private Default =

    [<Literal>]
    let Sparsity = 0.9

    [<Literal>]
    let Topology = "erk"

    [<Literal>]
    let Dynamic = "rigl"

    /// Optimizer steps from one update to the next, and the part of the slots that the first rewires: RigL's own.
    [<Literal>]
    let DeltaT = 100L

    [<Literal>]
    let Alpha = 0.3

    [<Literal>]
    let Epochs = 20

    [<Literal>]
    let Seed = 0

    [<Literal>]
    let Batch = 64

    [<Literal>]
    let SparseRate = 0.1

    [<Literal>]
    let DenseRate = 0.03

    /// Of convolutional networks, which need fewer passes and take longer for each.
    [<Literal>]
    let CnnEpochs = 5

    [<Literal>]
    let CnnSparsity = 0.8

    [<Literal>]
    let CnnSparseRate = 0.02

    [<Literal>]
    let CnnDenseRate = 0.01

    [<Literal>]
    let CnnBatch = 32

    [<Literal>]
    let CnnDecay = 0.0005

    [<Literal>]
    let Schedule = "cosine"

    [<Literal>]
    let Decay = 0.001

    /// Moving the digits makes up for their small number; MNIST's own are left as they are, as in the notebook.
    [<Literal>]
    let ShiftOfCarried = 1

    [<Literal>]
    let ShiftOfFolder = 0

/// <summary>The arguments of the demo.</summary>
[<RequireQualifiedAccess>]
type Argument =
    | Data of folder: string
    | Cnn
    | Sparsity of part: float
    | Topology of name: string
    | Kwinners of part: float
    | Dynamic of policy: string
    | Delta_T of steps: int64
    | Alpha of part: float
    | Frames of file: string
    | Epochs of number: int
    | Seed of number: int
    | Batch of digits: int
    | Lr of rate: float
    | Dense_Lr of rate: float
    | Schedule of name: string
    | Weight_Decay of part: float
    | Shift of pixels: int
    | Threads of number: int

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | Data _ -> "a folder with MNIST's four gzipped files; without it, the 6,000 digits that the demo carries"
            | Cnn ->
                "a small convolutional network in place of the linear one; "
                + $"sparsity {Default.CnnSparsity}, {Default.CnnEpochs} epochs, batches of {Default.CnnBatch}, rates of {Default.CnnSparseRate} and {Default.CnnDenseRate}, "
                + $"decay of {Default.CnnDecay} unless others are given"
            | Sparsity _ ->
                $"the part of the weights that the sparse network does without, in [0, 1); {Default.Sparsity}"
            | Topology _ ->
                let names = Network.topologies |> List.map fst |> String.concat ", "
                $"how the sparse network is wired: {names}; {Default.Topology}"
            | Kwinners _ ->
                "the part of the hidden units that k-winners silence in both networks, in [0, 1), such as 0.65; ReLU without it"
            | Dynamic _ ->
                let names = Dynamics.policies |> List.map fst |> String.concat ", "
                $"how the sparse network is rewired while it trains: {names}, or none; {Default.Dynamic}"
            | Delta_T _ -> $"optimizer steps from one update of --dynamic to the next; {Default.DeltaT}"
            | Alpha _ -> $"the part of the slots that the first update of --dynamic rewires; {Default.Alpha}"
            | Frames _ ->
                "an HTML page to write: which pixels the first layer looks at, from the start of --dynamic to its end"
            | Epochs _ -> $"passes over the training digits; {Default.Epochs}"
            | Seed _ -> $"draws connections, initial weights and the order of the digits; {Default.Seed}"
            | Batch _ -> $"digits a step; {Default.Batch}"
            | Lr _ -> $"learning rate of the sparse network; {Default.SparseRate}"
            | Dense_Lr _ -> $"learning rate of the dense network; {Default.DenseRate}"
            | Schedule _ ->
                let names = RateSchedule.named |> List.map fst |> String.concat ", "
                $"how both learning rates go: {names}; {Default.Schedule}"
            | Weight_Decay _ -> $"weight decay of both networks, in [0, 1); {Default.Decay}"
            | Shift _ ->
                "how many pixels, 0..2, a training batch may be moved across and down; "
                + $"{Default.ShiftOfCarried}, with --data {Default.ShiftOfFolder}"
            | Threads _ -> "processors to use; all"

/// <summary>What the demo is to do.</summary>
type Options =
    {
        Data: string option
        /// Whether the networks are convolutional.
        IsCnn: bool
        Sparsity: float
        Topology: string
        Winners: float option
        Dynamic: Dynamics option
        Frames: string option
        Seed: int
        Threads: int
        Course: Course
    }

[<RequireQualifiedAccess>]
module Options =

    let private parser =
        ArgumentParser.Create<Argument>(programName = "dotnet fsi build.fsx demo", errorHandler = ExceptionExiter())

    /// Argu puts the argument's name before the message.
    let private demand (holds: 'a -> bool) (expected: string) (value: 'a) =
        if holds value then
            value
        else
            failwith $"expected {expected}, got {value}"

    /// What --dynamic takes beside the names of policies.
    [<Literal>]
    let private Static = "none"

    let private positive = demand (fun n -> n >= 1) "1 or more"
    let private rate = demand (fun r -> r > 0.0 && Double.IsFinite r) "a number above 0"
    let private part = demand (fun p -> p >= 0.0 && p < 1.0) "a number in [0, 1)"

    let private topology =
        let names = List.map fst Network.topologies
        demand (fun name -> List.contains name names) ("one of " + String.concat ", " names)

    let private policy =
        let names = Static :: List.map fst Dynamics.policies
        demand (fun name -> List.contains name names) ("one of " + String.concat ", " names)

    let private schedule =
        let names = List.map fst RateSchedule.named
        demand (fun name -> List.contains name names) ("one of " + String.concat ", " names)

    let private pixels = demand (fun n -> n >= 0 && n <= 2) "0..2"

    let private processors =
        let all = Environment.ProcessorCount
        demand (fun n -> n >= 1 && n <= all) $"1..{all}, the processors of this machine"

    /// <summary>Reads the command line.</summary>
    /// <exception cref="T:Argu.ArguParseException">An argument is unknown or out of its range, or help was asked for.</exception>
    let parse (arguments: string[]) : Options =
        let given = parser.ParseCommandLine arguments

        let data = given.TryGetResult Argument.Data
        let isCnn = given.Contains Argument.Cnn

        if isCnn then
            let only (isGiven: bool) (argument: string) =
                if isGiven then
                    given.Raise($"expected no {argument} beside --cnn, got one: it is of the linear network")

            only (given.Contains Argument.Topology) "--topology"
            only (given.Contains Argument.Kwinners) "--kwinners"
            only (given.Contains Argument.Frames) "--frames"

        let shift =
            if data.IsSome then
                Default.ShiftOfFolder
            else
                Default.ShiftOfCarried

        { Data = data
          IsCnn = isCnn
          Sparsity =
            given.TryPostProcessResult(Argument.Sparsity, part)
            |> Option.defaultValue (if isCnn then Default.CnnSparsity else Default.Sparsity)
          Topology =
            given.TryPostProcessResult(Argument.Topology, topology)
            |> Option.defaultValue Default.Topology
          Winners = given.TryPostProcessResult(Argument.Kwinners, part)
          Dynamic =
            given.TryPostProcessResult(Argument.Dynamic, policy)
            |> Option.defaultValue Default.Dynamic
            |> Some
            |> Option.filter ((<>) Static)
            |> Option.map (fun name ->
                { Name = name
                  DeltaT =
                    given.TryPostProcessResult(Argument.Delta_T, demand (fun t -> t >= 1L) "1 or more")
                    |> Option.defaultValue Default.DeltaT
                  Alpha =
                    given.TryPostProcessResult(Argument.Alpha, part)
                    |> Option.defaultValue Default.Alpha })
          Frames =
            given.TryPostProcessResult(
                Argument.Frames,
                fun file ->
                    match given.TryGetResult Argument.Dynamic with
                    | Some name when name <> Static -> file
                    | _ ->
                        failwith
                            $"expected --dynamic beside it, and not {Static}: a static network has no more than one frame"
            )
          Seed = given.GetResult(Argument.Seed, Default.Seed)
          Threads =
            given.TryPostProcessResult(Argument.Threads, processors)
            |> Option.defaultValue Environment.ProcessorCount
          Course =
            { Epochs =
                given.TryPostProcessResult(Argument.Epochs, positive)
                |> Option.defaultValue (if isCnn then Default.CnnEpochs else Default.Epochs)
              Batch =
                given.TryPostProcessResult(Argument.Batch, positive)
                |> Option.defaultValue (if isCnn then Default.CnnBatch else Default.Batch)
              SparseRate =
                given.TryPostProcessResult(Argument.Lr, rate)
                |> Option.defaultValue (if isCnn then Default.CnnSparseRate else Default.SparseRate)
              DenseRate =
                given.TryPostProcessResult(Argument.Dense_Lr, rate)
                |> Option.defaultValue (if isCnn then Default.CnnDenseRate else Default.DenseRate)
              Schedule =
                given.TryPostProcessResult(Argument.Schedule, schedule)
                |> Option.defaultValue Default.Schedule
                |> fun name -> RateSchedule.named |> List.find (fst >> (=) name) |> snd
              Decay =
                given.TryPostProcessResult(Argument.Weight_Decay, part)
                |> Option.defaultValue (if isCnn then Default.CnnDecay else Default.Decay)
              Shift = given.TryPostProcessResult(Argument.Shift, pixels) |> Option.defaultValue shift } }
