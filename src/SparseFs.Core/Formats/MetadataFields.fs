namespace SparseFs

open System
open System.Collections.Generic
open System.Globalization

/// <summary>Small records as texts of a file's metadata: "step=5 grad=True".</summary>
module internal MetadataFields =

    let private culture = CultureInfo.InvariantCulture

    let ofFloat (value: float) : string = value.ToString("R", culture)

    /// As FieldReader.Bool reads it.
    let ofBool (value: bool) : string = if value then "True" else "False"

    /// As FieldReader.Integer reads it.
    let ofInteger (value: int64) : string = value.ToString culture

    let write (fields: (string * string) list) : string =
        String.Join(" ", [ for key, value in fields -> (invariant $"{key}={value}") ])

/// <summary>A text of that kind, read back with nothing trusted.</summary>
[<Sealed>]
type internal FieldReader(file: string, entry: string, text: string) =
    let refuse (reason: string) : 'a =
        CheckpointFault.because CheckpointProblem.Value file entry reason

    let fields = Dictionary<string, string>()
    let unread = HashSet<string>()

    do
        for field in text.Split(' ', StringSplitOptions.RemoveEmptyEntries) do
            match field.IndexOf '=' with
            | -1 -> refuse (invariant $"expected name=value, got '{field}'")
            | at ->
                let name = field.Substring(0, at)

                if not (fields.TryAdd(name, field.Substring(at + 1))) then
                    refuse (invariant $"expected each name once, got '{name}' twice")

                unread.Add name |> ignore

    member _.Text(name: string) : string =
        match fields.TryGetValue name with
        | true, value ->
            unread.Remove name |> ignore
            value
        | _ -> refuse (invariant $"expected a value of '{name}', got none")

    member r.Bool(name: string) : bool =
        match r.Text name with
        | "True" -> true
        | "False" -> false
        | other -> refuse (invariant $"expected True or False for '{name}', got '{other}'")

    /// Within bounds that are included.
    member r.Integer(name: string, low: int64, high: int64) : int64 =
        match Int64.TryParse(r.Text name, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
        | true, value when value >= low && value <= high -> value
        | _ -> refuse (invariant $"expected an integer in {low}..{high} for '{name}', got '{fields[name]}'")

    /// Any number but NaN.
    member r.Float(name: string) : float =
        match Double.TryParse(r.Text name, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, value when not (Double.IsNaN value) -> value
        | _ -> refuse (invariant $"expected a number for '{name}', got '{fields[name]}'")

    /// 64 bits in hexadecimal.
    member r.Bits(name: string) : uint64 =
        match UInt64.TryParse(r.Text name, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) with
        | true, value -> value
        | _ -> refuse (invariant $"expected 64 bits for '{name}', got '{fields[name]}'")

    /// Refuses what nobody has asked for.
    member _.End() : unit =
        if unread.Count > 0 then
            refuse (invariant $"""expected nothing else, got {String.Join(", ", unread)}""")
