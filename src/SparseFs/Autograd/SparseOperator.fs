namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>One call's fixed part, as autograd functions carry it: a pattern, who computes, and whose numbers they are; and, of a
/// convolution, its sizes.</summary>
[<Sealed>]
type internal SparseOperator
    (
        connectivity: Connectivity,
        backend: Backend,
        recorder: GradientRecorder | null,
        numbers: LayerNumbers | null,
        convolution: ConvCall voption
    ) =
    new(connectivity, backend) = SparseOperator(connectivity, backend, null, null, ValueNone)

    /// The same product of values that are no layer's.
    member _.OfValues = SparseOperator(connectivity, backend, null, null, convolution)

    /// Notes a backward pass where somebody wants it: upstream gradients, inputs, and the weight's gradient.
    member _.Note(g: torch.Tensor, x: torch.Tensor, gradient: torch.Tensor) : unit =
        match recorder, numbers with
        | null, _
        | _, null -> ()
        | recorder, numbers -> recorder.Add(g, x, gradient, (fun () -> TorchNulls.gradOf numbers.Leaf))

    /// Whether somebody wants passes noted.
    member _.IsNoted: bool = not (isNull recorder || isNull numbers)

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

    /// Who computes chains of products in one go, if anybody does.
    member _.Chain: ChainBackend voption = backend.Chain

    /// Who computes all steps of a recurrent layer, if anybody does.
    member _.Recurrence: Recurrence voption = backend.Recurrence

    member _.Plan: SpmmPlan = SpmmPlans.planOf connectivity

    /// The product with an input, + bias.
    member op.Multiply (values: torch.Tensor) (bias: torch.Tensor | null) (x: torch.Tensor) : torch.Tensor =
        match convolution with
        | ValueNone -> backend.Spmm op.Plan values bias x
        | ValueSome call -> backend.Conv call values bias x

    /// The product with an output's gradient.
    member op.MultiplyTransposed (values: torch.Tensor) (g: torch.Tensor) : torch.Tensor =
        match convolution with
        | ValueNone -> backend.SpmmT op.Plan values g
        | ValueSome call -> backend.ConvT call values g

    /// The product of an output's gradient and an input, at the pattern.
    member op.Sample (g: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        match convolution with
        | ValueNone -> backend.Sddmm op.Plan g x
        | ValueSome call -> backend.ConvSddmm call g x

    /// The gradient of a bias.
    member _.SumOfSamples(g: torch.Tensor) : torch.Tensor | null =
        match convolution with
        | ValueNone -> g.sum 0L
        | ValueSome _ -> g.sum [| 0L; 2L; 3L; 4L |]

    /// The gradients of a product together, for an upstream gradient: each null where nobody wants it.
    member op.Gradients
        (values: torch.Tensor | null)
        (x: torch.Tensor | null)
        (g: torch.Tensor)
        (wantsBias: bool)
        : LinearGradients =
        match convolution with
        | ValueNone -> backend.Gradients op.Plan values x g wantsBias
        | ValueSome _ ->
            { Values =
                match x with
                | null -> null
                | x -> op.Sample g x
              Bias = (if wantsBias then op.SumOfSamples g else null)
              Input =
                match values with
                | null -> null
                | values -> op.MultiplyTransposed values g }
