namespace SparseFs.Torch

open System
open System.Collections.Generic
open SparseFs
open SparseFs.Inference
open TorchSharp

/// <summary>A network under construction: one operation behind the other, and the tensors that they ask for.</summary>
[<Sealed>]
type internal DescriptionBuilder() =
    let nodes = List<NetworkNode>()
    let mutable current = "input"

    static member Refusal(message: string) : exn = ArgumentException(message, "model")

    /// The name of a module, for people and for its node.
    static member Label(name: string) : string = if name = "" then "model" else name

    /// An operation over what the last one gives. Tensors are named as state_dict names them, under the module.
    member _.Add
        (name: string, operator': string, numbers: (string * float) list, tensors: (string * torch.Tensor | null) list)
        =
        // Two places of a model may have one name, and the input has its own.
        let label =
            let wanted = DescriptionBuilder.Label name

            let isTaken (label: string) =
                label = "input" || nodes.Exists(fun n -> n.Name = label)

            Seq.append (Seq.singleton wanted) (Seq.initInfinite (fun i -> $"{wanted}#{i + 2}"))
            |> Seq.find (isTaken >> not)

        let prefix = if name = "" then "" else name + "."

        nodes.Add
            { Name = label
              Operator = operator'
              Inputs = [| current |]
              Numbers = [| for number, value in numbers -> struct (number, value) |]
              Tensors =
                [| for role, tensor in tensors do
                       if not (isNull tensor) then
                           struct (role, prefix + role) |] }

        current <- label

    member _.Nodes: NetworkNode[] = nodes.ToArray()

    /// What the last operation gives.
    member _.Current: string = current
