namespace SparseFs.Tool

open System
open System.Collections.Generic
open System.Text.Json
open SparseFs
open SparseFs.Inference

/// <summary>A request that is none; the message goes to who sent it.</summary>
[<Sealed>]
type internal BadRequest(message: string) =
    inherit Exception(message)

/// <summary>Samples from the JSON of a request, of which nothing is believed.</summary>
module internal RequestReader =

    let private refuse (message: string) : 'a = raise (BadRequest message)

    let private next (reader: byref<Utf8JsonReader>) : unit =
        if not (reader.Read()) then
            refuse "expected more JSON, got its end"

    let private finite (reader: byref<Utf8JsonReader>) : float32 =
        let mutable number = 0.0f

        if not (reader.TryGetSingle &number) || not (Single.IsFinite number) then
            refuse "expected numbers that float32 holds"

        number

    /// <summary>An array of arrays of the sizes, from its bracket to its end.</summary>
    let rec private row (reader: byref<Utf8JsonReader>) (sizes: int[]) (depth: int) (into: List<float32>) : unit =
        let expected () =
            refuse (invariant $"expected arrays of {sizes[depth]} in dimension {depth + 1} of a sample")

        if reader.TokenType <> JsonTokenType.StartArray then
            expected ()

        let mutable count = 0
        next &reader

        while reader.TokenType <> JsonTokenType.EndArray do
            if count = sizes[depth] then
                expected ()

            if depth < sizes.Length - 1 then
                row &reader sizes (depth + 1) into
            elif reader.TokenType = JsonTokenType.Number then
                into.Add(finite &reader)
            else
                refuse (invariant $"expected a number, got {reader.TokenType}")

            count <- count + 1
            next &reader

        if count <> sizes[depth] then
            refuse (
                invariant $"expected arrays of {sizes[depth]} in dimension {depth + 1} of a sample, got one of {count}"
            )

    /// How deep arrays are nested here, at most one deeper than so deep; 0 for an empty one. The reader stays where it was.
    let private depthOf (reader: Utf8JsonReader) (most: int) : int =
        let mutable ahead = reader
        let mutable depth = 0

        while depth <= most && ahead.TokenType = JsonTokenType.StartArray do
            depth <- depth + 1
            next &ahead

        if depth = 1 && ahead.TokenType = JsonTokenType.EndArray then
            0
        else
            depth

    /// <summary>Some samples, or one without the dimension of samples.</summary>
    let private samples (reader: byref<Utf8JsonReader>) (input: ModelPort) : float32[] =
        let sizes = Array.ofSeq input.Shape
        let numbers = List<float32>()

        if reader.TokenType <> JsonTokenType.StartArray then
            refuse (invariant $"expected an array as '{input.Name}', got {reader.TokenType}")

        if depthOf reader sizes.Length = sizes.Length then
            row &reader sizes 0 numbers
        else
            next &reader

            while reader.TokenType <> JsonTokenType.EndArray do
                if sizes.Length = 0 then
                    numbers.Add(finite &reader)
                else
                    row &reader sizes 0 numbers

                next &reader

        numbers.ToArray()

    /// An object with the one property of the input's name, from its brace to its end.
    let private inputs (reader: byref<Utf8JsonReader>) (input: ModelPort) : float32[] =
        let expected (got: string) =
            refuse (invariant $"expected an object with '{input.Name}', got {got}")

        if reader.TokenType <> JsonTokenType.StartObject then
            expected (string reader.TokenType)

        next &reader

        if reader.TokenType <> JsonTokenType.PropertyName then
            expected "one without properties"

        if not (reader.ValueTextEquals input.Name) then
            expected (invariant $"'{reader.GetString()}'")

        next &reader
        let found = samples &reader input
        next &reader

        if reader.TokenType <> JsonTokenType.EndObject then
            expected "more properties"

        found

    /// <summary>The samples of a request: {"inputs": {"input": [[…], …]}}, or {"input": [[…], …]} alone.</summary>
    /// <param name="input">What the network takes.</param>
    /// <param name="body">JSON in UTF-8.</param>
    /// <exception cref="T:SparseFs.Tool.BadRequest">It is no such object, or has other sizes.</exception>
    let read (input: ModelPort) (body: ReadOnlySpan<byte>) : float32[] =
        try
            // The object, that of the inputs, the samples, a sample, and what is refused by its size.
            let options = JsonReaderOptions(MaxDepth = input.Shape.Count + 8)
            let mutable reader = Utf8JsonReader(body, options)
            next &reader
            let mutable ahead = reader

            let isWrapped =
                input.Name <> "inputs"
                && ahead.TokenType = JsonTokenType.StartObject
                && ahead.Read()
                && ahead.TokenType = JsonTokenType.PropertyName
                && ahead.ValueTextEquals "inputs"

            if isWrapped then
                next &reader
                next &reader

            let found = inputs &reader input

            if isWrapped then
                next &reader

                if reader.TokenType <> JsonTokenType.EndObject then
                    refuse "expected nothing beside 'inputs'"

            // What follows the object must be space; the reader throws if it is not.
            while reader.Read() do
                ()

            found
        with
        | :? JsonException as e -> refuse (invariant $"expected JSON: {e.Message}")
        | :? InvalidOperationException as e -> refuse (invariant $"expected Unicode: {e.Message}") // a lone surrogate
