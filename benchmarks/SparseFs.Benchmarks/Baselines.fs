/// What a user would write without this library, each a linear layer with the same pattern and values.
module SparseFs.Benchmarks.Baselines

open SparseFs
open TorchSharp
open TorchSharp.Modules

type Layer = torch.nn.Module<torch.Tensor, torch.Tensor>

let private copyBias (layer: SparseLinear) =
    new Parameter((present "a layer with a bias" layer.bias).detach().clone())

/// torch.nn.Linear with the layer's dense matrix.
let dense (layer: SparseLinear) : Layer =
    torch.nn.Linear(new Parameter(layer.weightMatrix ()), copyBias layer)

/// A dense weight times a 0/1 mask, as pruning libraries have it.
type private Masked(layer: SparseLinear) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Masked")

    let mask =
        layer.weightMatrix().ne(0.0f.ToScalar()).to_type(torch.ScalarType.Float32)

    let weight = new Parameter(layer.weightMatrix ())
    let bias = copyBias layer
    do this.RegisterComponents()

    override _.forward x =
        torch.nn.functional.linear (x, weight.mul mask, bias)

let masked (layer: SparseLinear) : Layer = new Masked(layer)

/// torch's COO product: W · xᵀ. It records no gradient for W's values, so it runs forward only.
type private Coo(layer: SparseLinear) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Coo")
    let weight = layer.weightMatrix().to_sparse()
    let bias = copyBias layer
    do this.RegisterComponents()
    override _.forward x = weight.mm(x.t ()).t().add bias

let coo (layer: SparseLinear) : Layer = new Coo(layer)

/// SparseLinear's own formula: gather the inputs of all weights, multiply, add up by output.
type private Gather(layer: SparseLinear) as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Gather")

    let index (values: int[]) =
        torch.tensor(values).to_type torch.ScalarType.Int64

    let rows = index (Connectivity.rowIndices layer.Connectivity)
    let cols = index (layer.Connectivity.ColIdx.ToArray())
    let weight = new Parameter(layer.weight.detach().clone())
    let bias = copyBias layer
    do this.RegisterComponents()

    override _.forward x =
        let products = x.index_select(1L, cols).mul weight
        let zeros = torch.zeros (x.shape[0], layer.out_features)
        zeros.index_add(1L, rows, products, 1.0f.ToScalar()).add bias

let gather (layer: SparseLinear) : Layer = new Gather(layer)
