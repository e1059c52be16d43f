/// Networks whose deployed files are measured, sparse ones and their dense twins.
module SparseFs.Benchmarks.InferenceModels

open SparseFs
open TorchSharp
open TorchSharp.Modules
open SparseFs.Benchmarks.MiniGpt

/// A network with a sample of it, of one.
type Measured =
    { Name: string
      Sparse: Net
      Dense: Net
      Sample: torch.Tensor }

/// The same network with its whole matrices.
let private denseOf (network: Sequential) : Net =
    torch.nn.Sequential
        [| for struct (name, m) in network.named_children () do
               let own: Net =
                   match m with
                   | :? SparseLinear as layer -> Baselines.dense layer
                   | other -> other :?> Net

               struct (name, own) |]

let private mlp (groups: bool) (sizes: int list) (sparsity: float) : Sequential =
    torch.nn.Sequential
        [| for i, (inputs, outputs) in List.indexed (List.pairwise sizes) do
               let nnz = int ((1.0 - sparsity) * float inputs * float outputs)
               let seed = Seed.ofInt i

               let pattern =
                   if groups && outputs % 4 = 0 then
                       Topology.rowGroups 4 outputs inputs (nnz / 4 * 4) seed
                   else
                       Topology.uniform outputs inputs nnz seed

               if i > 0 then
                   struct ($"relu{i}", torch.nn.ReLU() :> Net)

               struct ($"layer{i}", new SparseLinear(pattern)) |]

let private ofSizes (name: string) (groups: bool) (sizes: int list) : Measured =
    let network = mlp groups sizes 0.9

    { Name = name
      Sparse = network
      Dense = denseOf network
      Sample = torch.randn (1L, int64 sizes.Head) }

/// Digits: an image of one channel, three convolutions of 3 x 3 of which all but the first are sparse, and a layer.
let private cnn () : Measured =
    let block (convolution: Net) (channels: int64) : Net list =
        [ convolution
          torch.nn.BatchNorm2d channels
          torch.nn.ReLU()
          torch.nn.MaxPool2d 2L ]

    let network (second: Net) (third: Net) (last: Net) : Net =
        torch.nn.Sequential(
            [| yield! block (torch.nn.Conv2d(1L, 32L, 3L, padding = 1L)) 32L
               yield! block second 64L
               yield! block third 128L
               torch.nn.Flatten() :> Net
               last |]
        )

    { Name = "cnn"
      Sparse =
        network
            (new SparseConv2d(32, 64, 3, padding = 1, sparsity = 0.9, seed = Seed.ofInt 1))
            (new SparseConv2d(64, 128, 3, padding = 1, sparsity = 0.9, seed = Seed.ofInt 2))
            (new SparseLinear(1152, 10, sparsity = 0.9, seed = Seed.ofInt 3))
      Dense =
        network
            (torch.nn.Conv2d(32L, 64L, 3L, padding = 1L))
            (torch.nn.Conv2d(64L, 128L, 3L, padding = 1L))
            (torch.nn.Linear(1152L, 10L))
      Sample = torch.randn (1L, 1L, 28L, 28L) }

let all () : Measured list =
    [ ofSizes "784-2000-2000-10" false [ 784; 2000; 2000; 10 ]
      ofSizes "784-2000-2000-10, groups of 4" true [ 784; 2000; 2000; 10 ]
      ofSizes "4 x 4096²" false [ 4096; 4096; 4096; 4096; 4096 ]
      ofSizes "4 x 4096², groups of 4" true [ 4096; 4096; 4096; 4096; 4096 ]
      cnn () ]
