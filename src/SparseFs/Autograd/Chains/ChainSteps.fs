namespace SparseFs.Torch

open SparseFs
open SparseFs.Kernels
open TorchSharp

/// <summary>One call's fixed part of a chain: its products, and what stands between them.</summary>
[<Sealed>]
type internal ChainOperator
    (operators: SparseOperator[], activations: ChainActivation[], norm: float voption, addsInput: bool) =
    /// The products.
    member _.Operators = operators

    member val Call: ChainCall =
        { Plans = operators |> Array.map _.Plan
          Activations = activations
          Norm = norm
          AddsInput = addsInput }

    /// Who computes all of it in one go, if all products have somebody who does.
    member _.Backend: ChainBackend voption =
        if operators |> Array.forall (fun op -> op.Chain.IsSome) then
            operators[0].Chain
        else
            ValueNone

/// <summary>A chain one operation after the other, of operations that have derivatives of any order.</summary>
/// <remarks>For dtypes and devices that have no kernel of their own, for dropout, and for second derivatives.</remarks>
[<RequireQualifiedAccess>]
module internal ChainSteps =

    let private activate (activation: ChainActivation) (x: torch.Tensor) : torch.Tensor =
        match activation with
        | ChainActivation.Gelu -> torch.nn.functional.gelu x
        | ChainActivation.GeluTanh -> torch.nn.functional.gelu (x, Modules.GELU.Approximate.tanh)
        | ChainActivation.Relu -> torch.nn.functional.relu x
        | ChainActivation.Silu -> torch.nn.functional.silu x
        | _ ->
            let halves = x.chunk (2L, -1L)
            (torch.nn.functional.silu halves[0]).mul halves[1]

    /// As the kernels do it; between is what becomes of each activation's values, and behind of the last product's.
    let run
        (chain: ChainOperator)
        (between: torch.Tensor -> torch.Tensor)
        (behind: torch.Tensor -> torch.Tensor)
        (t: ChainTensors)
        : torch.Tensor =
        let call = chain.Call

        let mutable x =
            match call.Norm with
            | ValueNone -> t.Input
            | ValueSome epsilon ->
                torch.nn.functional.layer_norm (t.Input, [| t.Input.shape[1] |], t.Scale, t.Shift, epsilon)

        for index in 0 .. chain.Operators.Length - 1 do
            let numbers = t.Products[index]
            x <- SpmmFunction.Apply(chain.Operators[index], numbers.Values, numbers.Bias, x.contiguous ())

            if index < call.Activations.Length then
                x <- between (activate call.Activations[index] x)

        let y = behind x

        if call.AddsInput then
            y.add t.Input
        else
            match t.Residual with
            | null -> y
            | residual -> y.add residual
