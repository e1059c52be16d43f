namespace SparseFs.Torch

open System
open SparseFs

/// <summary>What a training program puts before the names of a model that it wraps.</summary>
module internal StoredNames =

    /// PyTorch's own wrappers': DataParallel and DistributedDataParallel, and torch.compile.
    let wrappers = [ "module."; "_orig_mod." ]

    [<Literal>]
    let private Compiled = "_orig_mod."

    let checkPrefixes (prefixes: string list) =
        ArgumentNullException.ThrowIfNull(prefixes, nameof prefixes)

        for prefix in prefixes do
            if String.IsNullOrEmpty prefix || not (prefix.EndsWith '.') then
                raise (ArgumentException($"expected prefixes that end in a dot, got '{prefix}'", nameof prefixes))

    /// <summary>A name without these prefixes, as often and in whatever order they stand before it. torch.compile's, which is
    /// no name of anything else, is taken out of the middle too: a part of a model can be compiled.</summary>
    let strip (prefixes: string list) (name: string) : string =
        let mutable at = 0
        let mutable isOpen = true

        while isOpen do
            match
                prefixes
                |> List.tryFind (fun prefix -> String.CompareOrdinal(name, at, prefix, 0, prefix.Length) = 0)
            with
            | Some prefix -> at <- at + prefix.Length
            | None -> isOpen <- false

        let name = name.Substring at

        if List.contains Compiled prefixes then
            name.Replace("." + Compiled, ".", StringComparison.Ordinal)
        else
            name

    /// A text about a layer is found by the layer's name.
    let stripKey (prefixes: string list) (key: string) : string =
        let start = "sparsefs.layer."

        if key.StartsWith(start, StringComparison.Ordinal) then
            start + (strip prefixes (key.Substring start.Length + ".")).TrimEnd '.'
        else
            key

    /// <summary>What to do where names that are missing would be there under a prefix; empty where they would not.</summary>
    let hint (names: seq<string>) (missing: seq<string>) : string =
        // A file can make names as long as it likes, and no model has such ones.
        let names = names |> Seq.filter (fun name -> name.Length <= 1000) |> Array.ofSeq

        let advice (prefixes: string list) =
            let listed = String.Join("; ", prefixes |> List.map (fun prefix -> $"\"{prefix}\""))

            $"the file has such names behind a prefix, as DataParallel ('module.') and torch.compile ('_orig_mod.') make them: "
            + $"load with Prefixes = [ {listed} ] (C#: prefixes)"

        let wanted = Collections.Generic.HashSet<string> missing

        if wanted.Count = 0 then
            ""
        elif names |> Array.exists (fun name -> wanted.Contains(strip wrappers name)) then
            wrappers
            |> List.filter (fun prefix ->
                names
                |> Array.exists (fun name -> name.Contains(prefix, StringComparison.Ordinal)))
            |> advice
        else
            // Any other prefix that ends in a dot.
            names
            |> Seq.tryPick (fun name ->
                Seq.unfold
                    (fun (from: int) ->
                        match name.IndexOf('.', from) with
                        | -1 -> None
                        | at -> Some(at + 1, at + 1))
                    0
                |> Seq.tryFind (fun at -> wanted.Contains(name.Substring at))
                |> Option.map (fun at -> name.Substring(0, at)))
            |> Option.map (fun prefix -> advice [ prefix ])
            |> Option.defaultValue ""
