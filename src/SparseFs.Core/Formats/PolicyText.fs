namespace SparseFs

open System
open Microsoft.FSharp.Reflection

/// <summary>A policy as texts, to tell whether a run goes on with the one that it began with.</summary>
module internal PolicyText =

    /// Records and unions by their parts; a function, which no text can hold, as "custom".
    let rec private describe (t: Type) (value: obj) : string =
        let fields (names: seq<string * Type>) (values: obj[]) =
            Seq.zip names values
            |> Seq.map (fun ((name, t), value) -> $"{name} = {describe t value}")
            |> String.concat "; "

        match value with
        | :? float as number -> Fields.ofFloat number
        | _ when FSharpType.IsFunction t -> "custom"
        | _ when FSharpType.IsRecord t ->
            let names =
                FSharpType.GetRecordFields t |> Seq.map (fun f -> f.Name, f.PropertyType)

            $"{{ {fields names (FSharpValue.GetRecordFields value)} }}"
        | _ when FSharpType.IsUnion t ->
            let case, values = FSharpValue.GetUnionFields(value, t)

            if values.Length = 0 then
                case.Name
            else
                let names = case.GetFields() |> Seq.map (fun f -> f.Name, f.PropertyType)
                $"{case.Name}({fields names values})"
        | _ -> String.Format(Globalization.CultureInfo.InvariantCulture, "{0}", value)

    /// <summary>The name and the text of each part.</summary>
    let parts (policy: Policy) : (string * string)[] =
        let values = FSharpValue.GetRecordFields policy

        Array.map2
            (fun (field: Reflection.PropertyInfo) value -> field.Name, describe field.PropertyType value)
            (FSharpType.GetRecordFields typeof<Policy>)
            values
