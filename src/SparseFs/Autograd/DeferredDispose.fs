namespace SparseFs.Torch

open System
open System.Collections.Generic
open TorchSharp

/// <summary>Gradients that a backward has returned, until libtorch has taken them.</summary>
/// <remarks>libtorch copies the references right after the backward returns, on the same thread; TorchSharp then leaves
/// the managed ones to the finaliser. They are freed here on the thread's next call instead.</remarks>
[<AbstractClass; Sealed>]
type internal DeferredDispose private () =

    [<ThreadStatic; DefaultValue>]
    static val mutable private tensors: List<torch.Tensor> | null

    static member Release() =
        match DeferredDispose.tensors with
        | null -> ()
        | tensors ->
            for t in tensors do
                if not (isNull (box t)) then
                    t.Dispose()

            DeferredDispose.tensors <- null

    /// Takes over what a backward is about to return, in the list that libtorch takes: null for what has no gradient.
    static member Hold(gradients: List<torch.Tensor>) : List<torch.Tensor> =
        DeferredDispose.Release()

        for t in gradients do
            if not (isNull (box t)) then
                t.DetachFromDisposeScope() |> ignore

        DeferredDispose.tensors <- gradients
        gradients
