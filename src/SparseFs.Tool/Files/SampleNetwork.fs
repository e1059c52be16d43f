namespace SparseFs.Tool

open SparseFs
open SparseFs.Inference

/// <summary>A network that takes samples of numbers, one input of a known shape, and gives one output.</summary>
[<RequireQualifiedAccess>]
module internal SampleNetwork =

    let private refuse (expected: string) (model: SparseModel) : 'a =
        let inputs =
            System.String.Join("; ", model.Inputs |> Seq.map (fun port -> port.ToString()))

        Refusal.because (
            Refusal.shown (
                invariant
                    $"expected a network of {expected}, got {inputs}: call it from a program, by SparseModel.Run or a session"
            )
        )

    /// The network, of one input and one output.
    let loadAny (path: string) (threads: int) : SparseModel =
        let model = SparseModel.Load(path, threads)

        if model.Inputs.Count > 1 || model.Outputs.Count > 1 then
            refuse "one input and one output" model

        model

    /// The network, of an input of numbers of a known shape.
    let load (path: string) (threads: int) : SparseModel =
        let model = loadAny path threads

        if
            model.Input.Dtype <> "float32"
            || model.Input.TokensName <> ""
            || model.Output.TokensName <> ""
        then
            refuse "float32 samples of a known shape" model

        model
