namespace SparseFs.Tool

open Argu

/// <summary>Arguments of sparsefs info.</summary>
[<RequireQualifiedAccess>]
type InfoArgument =
    | [<MainCommand; ExactlyOnce>] File of file: string
    | Json

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | File _ -> "a safetensors file, or the index of several"
            | Json -> "JSON in place of tables"

/// <summary>Arguments of sparsefs run.</summary>
[<RequireQualifiedAccess>]
type RunArgument =
    | [<MainCommand; ExactlyOnce>] Files of network: string * input: string * output: string
    | Threads of number: int
    | Batch of samples: int

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | Files _ -> "the network's file, a .npy file of samples [n, ...], and the .npy file to write"
            | Threads _ -> "threads of a call; 1"
            | Batch _ -> "samples of a call; 1,024 at most, fewer where samples are large"

/// <summary>Arguments of sparsefs bench.</summary>
[<RequireQualifiedAccess>]
type BenchArgument =
    | [<MainCommand; ExactlyOnce>] File of network: string
    | Batch of samples: int
    | Threads of number: int
    | Seconds of number: float

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | File _ -> "the network's file"
            | Batch _ -> "samples of a call; 1"
            | Threads _ -> "threads of a call; 1"
            | Seconds _ -> "how long to measure, 0.01 to 3600; 2"

/// <summary>Arguments of sparsefs convert.</summary>
[<RequireQualifiedAccess>]
type ConvertArgument =
    | [<MainCommand; ExactlyOnce>] Files of input: string * output: string
    | [<Mandatory>] Sparsity of part: float
    | Include of names: string
    | Exclude of names: string
    | Smallest of numbers: int64
    | Row_Groups of rows: int
    | Network of kind: string
    | Activation of name: string

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | Files _ -> "a safetensors file of dense weights, or the index of several, and the file to write"
            | Sparsity _ -> "the part of each weight that is left out, in [0, 1), such as 0.9"
            | Include _ -> "weights that become sparse, by name with * and ?; may be given several times; all"
            | Exclude _ -> "weights that stay dense, by name with * and ?; may be given several times; none"
            | Smallest _ -> "weights of fewer numbers stay dense; 1000"
            | Row_Groups _ ->
                "rows that share their columns, 1 to 64, such as 4, which is faster where layers are wide; 1"
            | Network _ ->
                "mlp: describe linear layers in the order of their names, so that the file runs; none: weights alone; none"
            | Activation _ ->
                let names = String.concat ", " MlpDescription.activations
                $"what stands between the layers of --network mlp: {names}; relu"

/// <summary>Arguments of sparsefs serve.</summary>
[<RequireQualifiedAccess>]
type ServeArgument =
    | [<MainCommand; ExactlyOnce>] File of network: string
    | Port of number: int
    | Address of ip: string
    | Threads of number: int

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | File _ -> "the network's file"
            | Port _ -> "the port, 0 for any that is free; 8080"
            | Address _ -> "the address to listen at; 127.0.0.1, which other machines do not reach"
            | Threads _ -> "threads of a call; calls run side by side; 1"

/// <summary>The commands of sparsefs.</summary>
[<RequireQualifiedAccess>]
type Command =
    | [<CliPrefix(CliPrefix.None)>] Info of ParseResults<InfoArgument>
    | [<CliPrefix(CliPrefix.None)>] Run of ParseResults<RunArgument>
    | [<CliPrefix(CliPrefix.None)>] Bench of ParseResults<BenchArgument>
    | [<CliPrefix(CliPrefix.None)>] Convert of ParseResults<ConvertArgument>
    | [<CliPrefix(CliPrefix.None)>] Serve of ParseResults<ServeArgument>
    | Version

    interface IArgParserTemplate with
        member command.Usage =
            match command with
            | Info _ -> "what a file holds: a network's layers, patterns and tensors, and their bytes"
            | Run _ -> "a network's outputs for the samples of a .npy file"
            | Bench _ -> "how long a network's calls take"
            | Convert _ -> "a sparse checkpoint of a file of dense weights, by magnitude"
            | Serve _ -> "a network behind HTTP, as JSON"
            | Version -> "the version of this program"
