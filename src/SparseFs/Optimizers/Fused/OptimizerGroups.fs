namespace SparseFs

open System
open System.Collections.Generic
open SparseFs.Torch
open TorchSharp.Modules

/// What optimizers of ours are made of.
[<RequireQualifiedAccess>]
module internal OptimizerGroups =

    /// Listed once: parameters that a model lists anew each time would be looked up anew at each step. One that several modules
    /// share steps once.
    let listed (parameters: Parameter seq) : Parameter[] =
        ArgumentNullException.ThrowIfNull(parameters, nameof parameters)
        parameters |> Seq.distinctBy NativeTensor.identity |> Array.ofSeq

    /// Groups with their parameters listed once, and all of these.
    let checkedGroups (groups: 'group seq when 'group :> ParamGroup) : struct ('group[] * Parameter[]) =
        ArgumentNullException.ThrowIfNull(groups, nameof groups)
        let groups = Array.ofSeq groups
        let seen = Dictionary<struct (nativeint * int64), int>()

        for index in 0 .. groups.Length - 1 do
            let group = groups[index]

            if isNull (box group) || isNull (box group.Parameters) then
                raise (ArgumentException($"groups: group {index} is null, or has null for parameters", nameof groups))

            let parameters = listed group.Parameters
            group.Parameters <- parameters

            for p in parameters do
                match seen.TryGetValue(NativeTensor.identity p) with
                | true, earlier ->
                    raise (
                        ArgumentException(
                            $"groups: expected each parameter in one group, got one of shape %s{Shape.text p.shape} in groups {earlier} and {index}; take it out of one of them",
                            nameof groups
                        )
                    )
                | _ -> seen.Add(NativeTensor.identity p, index)

        struct (groups, groups |> Array.collect (fun group -> Array.ofSeq group.Parameters))
