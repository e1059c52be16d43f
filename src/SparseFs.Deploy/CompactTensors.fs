namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Inference
open TorchSharp

/// <summary>Patterns and weights of sparse layers in few bytes: docs/format.md has them bit by bit.</summary>
[<RequireQualifiedAccess>]
module internal CompactTensors =

    let private formOf (weights: DeployedWeights) : ValueForm =
        match weights with
        | DeployedWeights.BFloat16 -> ValueForm.BFloat16
        | DeployedWeights.Int8 -> ValueForm.Int8
        | _ -> ValueForm.Float32

    /// The name of another tensor of a matrix, beside that of its row_ptr.
    let private beside (rowPtr: string) (role: string) : string =
        let at = rowPtr.LastIndexOf("row_ptr", StringComparison.Ordinal)
        rowPtr.Substring(0, at) + role + rowPtr.Substring(at + "row_ptr".Length)

    let private ofBytes (bytes: byte[]) : torch.Tensor =
        torch.tensor (bytes, dtype = torch.uint8)

    /// Tensors of a matrix by their roles, and the rows of its groups.
    let private matrix
        (weights: DeployedWeights)
        (pattern: Connectivity)
        (values: torch.Tensor)
        : struct (struct (string * torch.Tensor) list * int) =
        let struct (form, group) = CompactPattern.choose pattern
        let encoded = CompactPattern.encode form group pattern

        let columns =
            match form with
            | PatternForm.Deltas -> "deltas"
            | PatternForm.Offsets -> "offsets"
            | _ -> "bitmap"

        let numbers =
            let values = values.detach().cpu().contiguous().data<float32>().ToArray()

            match CompactValues.ofFloat32 (formOf weights) pattern values with
            | CompactValues.Int8(values, scales) ->
                [ struct ("weight", torch.tensor (values, dtype = torch.int8))
                  struct ("scale", torch.tensor scales) ]
            | CompactValues.BFloat16 bits ->
                let exact = bits |> Array.map BFloat16.toFloat32
                [ struct ("weight", torch.tensor(exact).to_type torch.bfloat16) ]
            | CompactValues.Float32 values -> [ struct ("weight", torch.tensor values) ]

        struct ([ yield! numbers

                  if form <> PatternForm.Bitmap then
                      struct ("counts", ofBytes encoded.Counts)

                  struct (columns, ofBytes encoded.Columns) ],
                group)

    /// <summary>Nodes and tensors whose sparse matrices are compact.</summary>
    /// <param name="weights">In which form.</param>
    /// <param name="nodes">With patterns as row_ptr and col_idx.</param>
    /// <param name="tensors">Of a checkpoint.</param>
    let apply
        (weights: DeployedWeights)
        (nodes: NetworkNode[])
        (tensors: struct (string * torch.Tensor) list)
        : struct (NetworkNode[] * struct (string * torch.Tensor) list) =
        let known = Dictionary<string, torch.Tensor>()

        for struct (name, tensor) in tensors do
            known[name] <- tensor

        let made = Dictionary<string, struct (string * torch.Tensor) list>()
        let groups = Dictionary<string, int>()

        /// A node with one of its matrices compact.
        let replace (node: NetworkNode) (suffix: string) : NetworkNode =
            let rowPtr = (node.TryTensor("row_ptr" + suffix)).Value
            let weight = (node.TryTensor("weight" + suffix)).Value
            let colIdx = (node.TryTensor("col_idx" + suffix)).Value

            // A layer that is used twice is there once.
            if not (made.ContainsKey rowPtr) then
                let ints (name: string) = known[name].data<int>().ToArray()
                let pointers, columns = ints rowPtr, ints colIdx

                let cols =
                    match node.Operator with
                    | "sparse_linear" -> int (node.TryNumber "in_features").Value
                    | "sparse_conv" ->
                        let cells = (node.TrySizes "kernel").Value |> Array.fold (*) 1

                        cells * int (node.TryNumber "in_channels").Value
                        / int (node.TryNumber "groups").Value
                    | _ ->
                        let units = int (node.TryNumber "units").Value

                        match suffix with
                        | "_ih" -> int (node.TryNumber "in_features").Value
                        | "_hh" ->
                            node.TryNumber "projection"
                            |> ValueOption.map int
                            |> ValueOption.defaultValue units
                        | _ -> units

                let pattern = Connectivity.create (pointers.Length - 1) cols pointers columns
                let struct (own, group) = matrix weights pattern known[weight]
                made[rowPtr] <- [ for struct (role, tensor) in own -> struct (beside rowPtr role, tensor) ]
                groups[rowPtr] <- group

            let own =
                [| for struct (name, _) in made[rowPtr] do
                       let role =
                           [ "weight"; "scale"; "counts"; "deltas"; "offsets"; "bitmap" ]
                           |> List.find (fun role -> beside rowPtr role = name)

                       struct (role + suffix, name) |]

            let isOld (role: string) =
                List.contains role [ "weight" + suffix; "row_ptr" + suffix; "col_idx" + suffix ]

            { node with
                Tensors = Array.append own (node.Tensors |> Array.filter (fun (struct (role, _)) -> not (isOld role)))
                Numbers =
                    if groups[rowPtr] = 1 then
                        node.Numbers
                    else
                        Array.append node.Numbers [| struct ("group" + suffix, float groups[rowPtr]) |] }

        let compact =
            nodes
            |> Array.map (fun node ->
                [ ""; "_ih"; "_hh"; "_hr" ]
                |> List.filter (fun suffix -> (node.TryTensor("row_ptr" + suffix)).IsSome)
                |> List.fold replace node)

        // Of all that there was, what nodes ask for.
        let asked =
            HashSet<string>(
                compact
                |> Seq.collect (fun node -> node.Tensors |> Seq.map (fun (struct (_, name)) -> name))
            )

        let own = made.Values |> Seq.concat |> List.ofSeq
        let isOwn = HashSet<string>(own |> Seq.map (fun (struct (name, _)) -> name))

        let others =
            tensors
            |> List.filter (fun (struct (name, _)) -> asked.Contains name && not (isOwn.Contains name))

        struct (compact, own @ others)
