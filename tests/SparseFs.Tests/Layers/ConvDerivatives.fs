/// Values and derivatives of convolutions beside those of torch's.
module SparseFs.Tests.ConvDerivatives

open Expecto
open SparseFs
open TorchSharp

/// A dense kernel of a shape, of the weights of a pattern: a function that has derivatives.
let kernel (c: Connectivity) (shape: int64[]) (weight: torch.Tensor) : torch.Tensor =
    let cells =
        Oracle.slots c
        |> Array.map (fun (row, col) -> int64 row * int64 c.Cols + int64 col)

    torch
        .zeros([| c.Cells |], dtype = weight.dtype)
        .index_add(0L, torch.tensor cells, weight, 1.0.ToScalar())
        .view(shape)

/// The output; the gradients of a weighted sum of its squares for weight, bias and input; and those of the gradients' own squares.
let private derivatives
    (weight: torch.Tensor)
    (bias: torch.Tensor)
    (x: torch.Tensor)
    (y: torch.Tensor)
    : torch.Tensor list =
    let arguments = [| weight; bias; x |]

    let loss =
        y.mul(y).mul(torch.arange(y.numel (), dtype = y.dtype).view(y.shape)).sum()

    let first =
        torch.autograd.grad ([| loss |], arguments, retain_graph = true, create_graph = true)

    let again =
        first |> Seq.map (fun g -> g.mul(g).sum()) |> Seq.reduce (fun a b -> a.add b)

    let second = torch.autograd.grad ([| again |], arguments)
    y :: List.ofSeq first @ List.ofSeq second

/// Both ways agree up to rounding. The loss and all that is derived from it are polynomials with no negative coefficient in weight, bias and
/// input, so their values at the numbers' magnitudes are the sums of the terms' magnitudes, of which rounding takes its share: the result itself may
/// be small beside them.
let agree
    (case: string)
    (tolerance: float)
    (layer: SparseLayer)
    (call: torch.Tensor -> torch.Tensor)
    (dense: torch.Tensor -> torch.Tensor -> torch.Tensor -> torch.Tensor)
    (x: torch.Tensor)
    : unit =
    let leaf (t: torch.Tensor) = t.detach().clone().requires_grad_ true

    let bias =
        match layer.bias with
        | null -> failtest "no bias"
        | bias -> bias

    let x = leaf x
    let got = derivatives layer.weight bias x (call x)
    let weight, bias, x = leaf layer.weight, leaf bias, leaf x
    let wanted = derivatives weight bias x (dense weight bias x)
    let weight, bias, x = leaf (weight.abs ()), leaf (bias.abs ()), leaf (x.abs ())
    let terms = derivatives weight bias x (dense weight bias x)

    for i, (got, wanted, terms) in List.indexed (List.zip3 got wanted terms) do
        Expect.equal got.shape wanted.shape $"{case}: shape of {i}"

        let most =
            max 1e-300 (terms.abs().max().to_type(torch.ScalarType.Float64).item<float>())

        let error =
            got.sub(wanted).abs().max().to_type(torch.ScalarType.Float64).item<float>()

        Expect.isLessThanOrEqual (error / most) tolerance $"{case}: {i}"
