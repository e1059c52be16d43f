namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>Fields of TorchSharp's optimizers by the names that files have for them.</summary>
/// <remarks>
/// The names are those that TorchSharp 0.107 has for its fields, and stay what they are if TorchSharp's change: the file's
/// name stands in quotes beside the field. A field that goes away does not compile any more; one that comes is found by
/// OptimizerFieldsTests.
/// </remarks>
[<RequireQualifiedAccess>]
module internal KnownFields =

    /// What an optimizer's own constructor would refuse, and what no number at all may be.
    let private isSound (name: string) (value: float) : bool =
        match name with
        | "beta1"
        | "beta2" -> value >= 0.0 && value < 1.0 // at 1 some constructors take it, and all weights become NaN
        | "rho" -> value >= 0.0 && value <= 1.0
        | "LearningRate"
        | "InitialLearningRate"
        | "eps"
        | "weight_decay"
        | "momentum"
        | "lr_decay" -> value >= 0.0 && Double.IsFinite value
        | _ -> Double.IsFinite value

    let steps (get: unit -> int64) (set: int64 -> unit) : OptimizerField = OptimizerField.Count("step", get, set)

    let number (name: string) (get: unit -> float) (set: float -> unit) : OptimizerField =
        OptimizerField(
            name,
            (fun () -> OptimizerNumber.Number(get ())),
            (fun reader -> OptimizerNumber.Number(reader.Float name)),
            (function
            | OptimizerNumber.Number value -> set value
            | other -> OptimizerNames.refuse name other),
            isSound name
        )

    /// What is not set in the optimizer may be not set in the file.
    let private nullable
        (name: string)
        (get: unit -> Nullable<'a>)
        (read: FieldReader -> OptimizerNumber)
        (ofValue: 'a -> OptimizerNumber)
        (set: OptimizerNumber -> unit)
        : OptimizerField =
        let value () =
            match get () with
            | value when value.HasValue -> ofValue value.Value
            | _ -> OptimizerNumber.None

        let read (reader: FieldReader) =
            if not (get ()).HasValue && reader.Text name = "none" then
                OptimizerNumber.None
            else
                read reader

        OptimizerField(name, value, read, set, isSound name)

    let option (name: string) (get: unit -> Nullable<float>) (set: Nullable<float> -> unit) : OptimizerField =
        nullable name get (fun reader -> OptimizerNumber.Number(reader.Float name)) OptimizerNumber.Number (function
            | OptimizerNumber.None -> set (Nullable())
            | OptimizerNumber.Number value -> set (Nullable value)
            | other -> OptimizerNames.refuse name other)

    let switch (name: string) (get: unit -> Nullable<bool>) (set: Nullable<bool> -> unit) : OptimizerField =
        nullable name get (fun reader -> OptimizerNumber.Switch(reader.Bool name)) OptimizerNumber.Switch (function
            | OptimizerNumber.None -> set (Nullable())
            | OptimizerNumber.Switch value -> set (Nullable value)
            | other -> OptimizerNames.refuse name other)

    /// A tensor that is there from the beginning, and 0 for a weight that was never seen.
    let tensor (name: string) get set (seeding: unit -> Seeding) : OptimizerTensor =
        OptimizerTensor(name, TensorPresence.Always, (fun () -> Unseen.Number 0.0), seeding, get, set)

    /// A seeding that does not change.
    let always (seeding: Seeding) : unit -> Seeding = fun () -> seeding

    let signOf (maximize: Nullable<bool>) : float =
        if maximize.GetValueOrDefault false then -1.0 else 1.0
