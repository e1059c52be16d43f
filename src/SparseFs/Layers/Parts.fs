namespace SparseFs.Torch

open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>The parts of a module, some of whose tensors its state has as its own.</summary>
[<RequireQualifiedAccess>]
module internal Parts =

    let private named
        (parts: seq<struct (string * torch.nn.Module)>)
        (tensorsOf: torch.nn.Module -> seq<struct (string * 't)>)
        =
        seq {
            for struct (part, child) in parts do
                for struct (name, tensor) in tensorsOf child do
                    match child with
                    | :? SparseLayer as layer ->
                        match layer.StateName with
                        | StateName.InHolder(before, after) -> struct (StateName.inHolder before after name, tensor)
                        | StateName.Nested -> struct ($"{part}.{name}", tensor)
                    | _ -> struct ($"{part}.{name}", tensor)
        }

    /// As named_parameters of a module that has no parameters beside its parts'.
    let parameters (parts: seq<struct (string * torch.nn.Module)>) (isDeep: bool) : seq<struct (string * Parameter)> =
        if isDeep then
            named parts _.named_parameters(true)
        else
            Seq.empty

    /// As named_buffers of a module that has no buffers beside its parts'.
    let buffers
        (parts: seq<struct (string * torch.nn.Module)>)
        (isDeep: bool)
        (withOthers: bool)
        : seq<struct (string * torch.Tensor)> =
        if isDeep then
            named parts _.named_buffers(true, withOthers)
        else
            Seq.empty

    /// As state_dict of a module whose named_parameters and named_buffers tell all.
    let state
        (m: torch.nn.Module)
        (destination: Dictionary<string, torch.Tensor> | null)
        (prefix: string | null)
        : Dictionary<string, torch.Tensor> =
        let state =
            match destination with
            | null -> Dictionary<string, torch.Tensor>()
            | destination -> destination

        let key (name: string) =
            if System.String.IsNullOrEmpty prefix then
                name
            else
                $"{prefix}.{name}"

        for struct (name, p) in m.named_parameters true do
            state.TryAdd(key name, p) |> ignore

        for struct (name, b) in m.named_buffers (true, false) do
            state.TryAdd(key name, b) |> ignore

        state
