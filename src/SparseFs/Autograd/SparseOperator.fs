namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp

/// One call's fixed part, as autograd functions carry it: a pattern, who computes, and whose numbers they are.
[<Sealed>]
type internal SparseOperator
    (connectivity: Connectivity, backend: Backend, recorder: GradientRecorder | null, numbers: LayerNumbers | null) =
    new(connectivity, backend) = SparseOperator(connectivity, backend, null, null)

    /// The same product of values that are no layer's.
    member _.OfValues = SparseOperator(connectivity, backend)

    /// Notes a backward pass where somebody wants it: upstream gradients, inputs, and the weight's gradient.
    member _.Note(g: torch.Tensor, x: torch.Tensor, gradient: torch.Tensor) : unit =
        match recorder, numbers with
        | null, _
        | _, null -> ()
        | recorder, numbers -> recorder.Add(g, x, gradient, (fun () -> TorchNulls.gradOf numbers.Leaf))

    /// The layer's numbers, or null where the caller brings values of its own.
    member _.Numbers = numbers

    /// What is read for values that autograd knows as these.
    member _.Values(values: torch.Tensor) : torch.Tensor =
        match numbers with
        | null -> values
        | numbers -> numbers.Values

    /// What is read for a bias that autograd knows as this; null for none.
    member _.Bias(bias: torch.Tensor | null) : torch.Tensor | null =
        match numbers, bias with
        | null, _
        | _, null -> bias
        | numbers, _ -> numbers.BiasValues

    member _.Connectivity: Connectivity = connectivity
    member _.Backend: Backend = backend
    member _.Plan: SpmmPlan = SpmmPlans.planOf connectivity
