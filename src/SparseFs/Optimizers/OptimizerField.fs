namespace SparseFs

open System
open SparseFs.Torch

/// <summary>A count, a number or a switch of an optimizer: one of a group's options, or of its state of a parameter.</summary>
[<Sealed>]
type OptimizerField
    internal
    (
        name: string,
        get: unit -> OptimizerNumber,
        read: FieldReader -> OptimizerNumber,
        set: OptimizerNumber -> unit,
        isSound: float -> bool
    ) =

    static let create
        (name: string)
        (get: Func<'a>)
        (set: Action<'a>)
        (read: FieldReader -> 'a)
        (ofValue: 'a -> OptimizerNumber)
        (toValue: OptimizerNumber -> 'a voption)
        : OptimizerField =
        OptimizerNames.check name
        ArgumentNullException.ThrowIfNull(get, nameof get)
        ArgumentNullException.ThrowIfNull(set, nameof set)

        OptimizerField(
            name,
            (fun () -> ofValue (get.Invoke())),
            (fun reader -> ofValue (read reader)),
            (fun number ->
                match toValue number with
                | ValueSome value -> set.Invoke value
                | ValueNone -> OptimizerNames.refuse name number),
            Double.IsFinite
        )

    /// <summary>Its name in files.</summary>
    member _.Name: string = name

    override _.ToString() = $"OptimizerField({name})"

    /// What it is now.
    member internal _.Value: OptimizerNumber = get ()

    /// What a file's text says that it is, and what sets it to that.
    member internal _.Stage(reader: FieldReader) : struct (OptimizerNumber * (unit -> unit)) =
        let value = read reader
        struct (value, (fun () -> set value))

    /// Becomes what another field of the same kind is.
    member internal _.Become(value: OptimizerNumber) : unit = set value

    /// Whether an optimizer can use a number.
    member internal _.IsSound(value: float) : bool = isSound value

    /// <summary>A count of steps, 0 or more.</summary>
    /// <param name="name">Its name in files: letters, digits, '_' and '-'. In the state of a parameter, one of the name
    /// <c>step</c> is taken for the steps that the optimizer has taken with it.</param>
    /// <param name="get">Reads it.</param>
    /// <param name="set">Sets it to what a file says.</param>
    /// <exception cref="T:System.ArgumentException">The name has other characters.</exception>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    static member Count(name: string, get: Func<int64>, set: Action<int64>) : OptimizerField =
        // Leaves room for the next steps.
        create name get set _.Integer(name, 0L, Int64.MaxValue / 2L) OptimizerNumber.Count (function
            | OptimizerNumber.Count value -> ValueSome value
            | _ -> ValueNone)

    /// <summary>A finite number.</summary>
    /// <param name="name">Its name in files: letters, digits, '_' and '-'.</param>
    /// <param name="get">Reads it.</param>
    /// <param name="set">Sets it to what a file says.</param>
    /// <exception cref="T:System.ArgumentException">The name has other characters.</exception>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    static member Number(name: string, get: Func<float>, set: Action<float>) : OptimizerField =
        create name get set _.Float(name) OptimizerNumber.Number (function
            | OptimizerNumber.Number value -> ValueSome value
            | _ -> ValueNone)

    /// <summary>A switch.</summary>
    /// <param name="name">Its name in files: letters, digits, '_' and '-'.</param>
    /// <param name="get">Reads it.</param>
    /// <param name="set">Sets it to what a file says.</param>
    /// <exception cref="T:System.ArgumentException">The name has other characters.</exception>
    /// <exception cref="T:System.ArgumentNullException">An argument is null.</exception>
    static member Switch(name: string, get: Func<bool>, set: Action<bool>) : OptimizerField =
        create name get set _.Bool(name) OptimizerNumber.Switch (function
            | OptimizerNumber.Switch value -> ValueSome value
            | _ -> ValueNone)
