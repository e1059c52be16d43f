namespace SparseFs.Torch

open System
open System.Globalization
open System.Text.RegularExpressions
open SparseFs

/// <summary>What a file says of a sparse layer.</summary>
[<NoComparison>]
type internal LayerSizes =
    {
        Kind: string
        Sizes: struct (string * string) list
        Rows: int64
        /// Of a linear layer.
        Cols: int64
        Nnz: int64
        HasBias: bool
    }

    /// Those by which weights have their meaning.
    static member Shown(sizes: struct (string * string) list) : string =
        let defining =
            set
                [ "in_features"
                  "out_features"
                  "in_channels"
                  "out_channels"
                  "kernel_size"
                  "groups" ]

        String.Join(
            ", ",
            [ for struct (name, value) in sizes do
                  if defining.Contains name then
                      $"{name}={value}" ]
        )

/// <summary>The text by which a file tells of a sparse layer.</summary>
module internal LayerMetadata =

    /// A later format is not read as this one.
    let checkFormat (file: SafetensorsFile) : unit =
        match file.Metadata.TryGetValue "sparsefs.format" with
        | true, version when version <> "1" ->
            file.Refuse(CheckpointProblem.Mismatch, "sparsefs.format", $"expected format 1, got '{version}'")
        | _ -> ()

    let key (layer: string) = $"sparsefs.layer.{layer}"

    let ofPattern (description: LayerDescription) (c: Connectivity) (hasBias: bool) : string =
        let sizes =
            [ for struct (name, value) in description.Sizes -> $"{name}={value}" ]
            @ [ $"nnz={c.Nnz}"; $"bias={hasBias}" ]

        $"""{description.Kind}({String.Join(", ", sizes)})"""

    let ofVersion (description: LayerDescription) (version: LayerVersion) : string =
        ofPattern description version.Connectivity (not (isNull version.Numbers.BiasValues))

    // Each is matched at one place, and what follows does not take it back: a text of a file costs no more than its length.
    let private kind =
        Regex(@"\G(Sparse[A-Za-z]{1,20}[0-9]?d?)\(", RegexOptions.CultureInvariant ||| RegexOptions.ECMAScript)

    let private size =
        Regex(
            @"\G([a-z_]{1,20})=(\([0-9, ]{1,40}\)|[A-Za-z0-9]{1,20})",
            RegexOptions.CultureInvariant ||| RegexOptions.ECMAScript
        )

    /// Kind and sizes: Kind(name=value, name=value).
    let private tryParse (text: string) : struct (string * struct (string * string) list) voption =
        let rec sizes (at: int) (found: struct (string * string) list) =
            let next = size.Match(text, at)
            let behind = at + next.Length
            let found = struct (next.Groups[1].Value, next.Groups[2].Value) :: found

            if not next.Success then
                ValueNone
            elif behind = text.Length - 1 && text[behind] = ')' then
                ValueSome(List.rev found)
            elif String.CompareOrdinal(text, behind, ", ", 0, 2) = 0 then
                sizes (behind + 2) found
            else
                ValueNone

        let start = kind.Match text

        if start.Success then
            sizes start.Length []
            |> ValueOption.map (fun found -> struct (start.Groups[1].Value, found))
        else
            ValueNone

    /// What a file says of a layer, if it says anything.
    let tryRead (file: SafetensorsFile) (layer: string) : LayerSizes voption =
        match file.Metadata.TryGetValue(key layer) with
        | true, text ->
            let refuse () =
                let expected =
                    "expected SparseLinear(in_features=.., out_features=.., nnz=.., bias=..), or a convolution with its sizes so"

                file.Refuse(CheckpointProblem.Value, key layer, $"{expected}, got '{text}'")

            let struct (kind, sizes) = tryParse text |> ValueOption.defaultWith refuse

            let valueOf (name: string) =
                sizes
                |> List.tryPick (fun (struct (n, value)) -> if n = name then Some value else None)
                |> Option.defaultWith refuse

            let number (name: string) =
                match Int64.TryParse(valueOf name, NumberStyles.None, CultureInfo.InvariantCulture) with
                | true, n when n <= int64 Int32.MaxValue -> n
                | _ -> refuse ()

            let struct (rows, cols) =
                if kind = "SparseLinear" then
                    struct (number "out_features", number "in_features")
                else
                    // A pattern's columns are not compared: channels and the kernel's size are.
                    let rows =
                        if kind.StartsWith("SparseConvTranspose", StringComparison.Ordinal) then
                            "in_channels"
                        else
                            "out_channels"

                    struct (number rows, 0L)

            let bias =
                match valueOf "bias" with
                | "True" -> true
                | "False" -> false
                | _ -> refuse ()

            ValueSome
                { Kind = kind
                  Sizes = sizes
                  Rows = rows
                  Cols = cols
                  Nnz = number "nnz"
                  HasBias = bias }
        | _ -> ValueNone

    /// A key of its own, which readers that know of no seed pass over.
    let seedKey (layer: string) = $"sparsefs.seed.{layer}"

    let ofSeed (seed: Seed) : string =
        let struct (state, gamma) = Seed.toWords seed
        $"{state:x16}/{gamma:x16}"

    /// What a file says that a layer's first pattern was drawn from, if it says anything.
    let trySeed (file: SafetensorsFile) (layer: string) : Seed option =
        match file.Metadata.TryGetValue(seedKey layer) with
        | true, text ->
            let word (part: string) =
                match UInt64.TryParse(part, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) with
                | true, word when part.Length = 16 -> ValueSome word
                | _ -> ValueNone

            let seed =
                match text.Split '/' |> Array.map word with
                | [| ValueSome state; ValueSome gamma |] -> Seed.tryOfWords state gamma
                | _ -> ValueNone

            if seed.IsNone then
                let expected = "expected a seed, 16 hexadecimal digits on both sides of a /"
                file.Refuse(CheckpointProblem.Value, seedKey layer, $"{expected}, got '{text}'")

            Some seed.Value
        | _ -> None
