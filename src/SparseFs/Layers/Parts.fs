namespace SparseFs.Torch

open System.Collections.Generic
open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>The parts of a module, some of whose tensors its state has as its own.</summary>
/// <param name="parts">By their names in the module.</param>
/// <param name="own">Parameters of the module itself.</param>
[<Sealed>]
type internal Parts(parts: struct (string * torch.nn.Module) list, own: struct (string * Parameter) list) =

    let named (tensorsOf: torch.nn.Module -> seq<struct (string * 't)>) : seq<struct (string * 't)> =
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

    new(parts) = Parts(parts, [])

    member _.Named = parts

    /// As named_parameters of a module, of which the own parameters are told as they are now.
    member _.Parameters(current: string -> Parameter, isDeep: bool) : seq<struct (string * Parameter)> =
        seq {
            for struct (name, _) in own do
                struct (name, current name)

            if isDeep then
                yield! named _.named_parameters(true)
        }

    /// As named_parameters of a module without parameters of its own.
    member p.Parameters(isDeep: bool) : seq<struct (string * Parameter)> =
        p.Parameters((fun name -> invalidOp $"no parameter {name}"), isDeep)

    /// As named_buffers of a module without buffers of its own.
    member _.Buffers(isDeep: bool, withOthers: bool) : seq<struct (string * torch.Tensor)> =
        if isDeep then
            named _.named_buffers(true, withOthers)
        else
            Seq.empty

    /// As state_dict of a module whose named_parameters and named_buffers tell all.
    static member State
        (m: torch.nn.Module, destination: Dictionary<string, torch.Tensor> | null, prefix: string | null)
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
