namespace SparseFs.Inference

open System
open System.Collections.Generic
open System.Text.Json
open SparseFs

/// An object of the text, whose properties are known and there once.
type internal JsonReading(file: string, what: string, element: JsonElement, known: string list) =
    let properties = Dictionary<string, JsonElement>()

    do
        if element.ValueKind <> JsonValueKind.Object then
            CheckpointFault.because
                CheckpointProblem.Header
                file
                NetworkDescription.Key
                (invariant $"expected {what} as an object, got {element.ValueKind}")

        for property in element.EnumerateObject() do
            if not (List.contains property.Name known) then
                let all = String.Join(", ", known)

                CheckpointFault.because
                    CheckpointProblem.Header
                    file
                    NetworkDescription.Key
                    (invariant $"expected {all} of {what}, got '{property.Name}'")

            if not (properties.TryAdd(property.Name, property.Value)) then
                CheckpointFault.because
                    CheckpointProblem.Header
                    file
                    NetworkDescription.Key
                    (invariant $"'{property.Name}' of {what} is there twice")

    member _.Refuse(name: string, expected: string) : 'a =
        CheckpointFault.because
            CheckpointProblem.Header
            file
            NetworkDescription.Key
            (invariant $"expected {expected} as '{name}' of {what}")

    /// The text that an element is, or null.
    static member TryText(element: JsonElement) : string | null =
        if element.ValueKind = JsonValueKind.String then
            element.GetString()
        else
            null

    member _.TryFind(name: string) : JsonElement voption =
        match properties.TryGetValue name with
        | true, found -> ValueSome found
        | _ -> ValueNone

    member r.Text(name: string) : string =
        match r.TryFind name with
        | ValueSome found ->
            match JsonReading.TryText found with
            | null -> r.Refuse(name, "a text")
            | text -> text
        | ValueNone -> r.Refuse(name, "a text")

    member r.TryNumber(name: string) : float voption =
        match r.TryFind name with
        | ValueSome found ->
            let mutable number = 0.0

            if
                found.ValueKind = JsonValueKind.Number
                && found.TryGetDouble(&number)
                && Double.IsFinite number
            then
                ValueSome number
            else
                r.Refuse(name, "a finite number")
        | ValueNone -> ValueNone

    member r.List(name: string) : JsonElement[] =
        match r.TryFind name with
        | ValueSome found when found.ValueKind = JsonValueKind.Array -> [| for item in found.EnumerateArray() -> item |]
        | ValueSome _ -> r.Refuse(name, "a list")
        | ValueNone -> [||]

    member r.Texts(name: string) : string[] =
        r.List name
        |> Array.map (fun item ->
            match JsonReading.TryText item with
            | null -> r.Refuse(name, "a list of texts")
            | text -> text)

    /// The properties of an object within, or none.
    member r.Members(name: string) : struct (string * JsonElement)[] =
        match r.TryFind name with
        | ValueSome found when found.ValueKind = JsonValueKind.Object ->
            [| for property in found.EnumerateObject() -> struct (property.Name, property.Value) |]
        | ValueSome _ -> r.Refuse(name, "an object")
        | ValueNone -> [||]
