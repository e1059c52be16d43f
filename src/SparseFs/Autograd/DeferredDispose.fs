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
    static val mutable private tensors: List<torch.Tensor>

    static member Release() =
        if not (isNull DeferredDispose.tensors) then
            for t in DeferredDispose.tensors do
                if not (isNull t) then
                    t.Dispose()

            DeferredDispose.tensors <- null

    /// Takes over what a backward is about to return.
    static member Hold(gradients: List<torch.Tensor>) : List<torch.Tensor> =
        DeferredDispose.Release()

        for t in gradients do
            if not (isNull t) then
                t.DetachFromDisposeScope() |> ignore

        DeferredDispose.tensors <- gradients
        gradients
