namespace SparseFs

open System

/// A number that a rule cannot order, with its place: NaN or an infinity. The update is refused, and nothing has changed.
[<Struct>]
type internal NonFinite =
    | NonFinite of what: string

    /// The reason of the refusal.
    member n.Reason: string =
        let (NonFinite what) = n
        String.Concat(NonFinite.Start, what)

    /// How such reasons begin, and no others.
    static member Start: string = "expected finite numbers, got "

/// Steps of an update that end at the first number that is not finite.
[<Sealed>]
type internal FiniteBuilder() =
    member inline _.Return(value: 'a) : Result<'a, NonFinite> = Ok value
    member inline _.ReturnFrom(result: Result<'a, NonFinite>) = result

    member inline _.Bind(result: Result<'a, NonFinite>, next: 'a -> Result<'b, NonFinite>) : Result<'b, NonFinite> =
        match result with
        | Ok value -> next value
        | Error found -> Error found

[<AutoOpen>]
module internal Finite =

    /// Steps of an update, of which none runs after one that met a number that is not finite.
    let finite = FiniteBuilder()

    /// The results of all, in order, or the first number that is not finite.
    let allFinite (results: 'a -> Result<'b, NonFinite>) (values: 'a[]) : Result<'b[], NonFinite> =
        let made = ResizeArray<'b> values.Length
        let mutable found = ValueNone
        let mutable i = 0

        while i < values.Length && found.IsNone do
            match results values[i] with
            | Ok value -> made.Add value
            | Error e -> found <- ValueSome e

            i <- i + 1

        match found with
        | ValueSome e -> Error e
        | ValueNone -> Ok(made.ToArray())
