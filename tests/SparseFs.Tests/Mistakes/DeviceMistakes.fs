/// Mistakes in devices. The meta device is there on every machine.
module SparseFs.Tests.Mistakes.DeviceMistakes

open Expecto
open SparseFs
open SparseFs.Tests.Mistakes.Mistake
open TorchSharp

let private text =
    "SparseLinear(in_features=4, out_features=3, nnz=12, sparsity=0, bias=True)"

let private called (layerDevice: torch.Device) (device: torch.Device) () =
    use _ = torch.NewDisposeScope()
    use layer = new SparseLinear(Connectivity.full 3 4, device = layerDevice)
    layer.call (torch.zeros ([| 2L; 4L |], device = device)) |> ignore

[<Tests>]
let tests =
    testList
        "Mistakes in devices"
        [ expect
              "an input that is not where the layer is"
              $"x is on meta, the layer on cpu: x.to(layer.weight.device), or layer.to(x.device); F# writes ``to``. The layer is {text} (Parameter 'x')"
              (called torch.CPU torch.META)

          expect
              "a layer that is not where its input is"
              $"x is on cpu, the layer on meta: x.to(layer.weight.device), or layer.to(x.device); F# writes ``to``. The layer is {text} (Parameter 'x')"
              (called torch.META torch.CPU)

          expect
              "a layer that was moved after its input was made"
              $"x is on cpu, the layer on meta: x.to(layer.weight.device), or layer.to(x.device); F# writes ``to``. The layer is {text} (Parameter 'x')"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  use layer = new SparseLinear(Connectivity.full 3 4)
                  let x = torch.zeros (2L, 4L)
                  layer.``to`` torch.META |> ignore
                  layer.call x |> ignore)

          expect
              "a product of values and samples in two places"
              "x is on meta, values on cpu: x.to(values.device), or values.to(x.device); F# writes ``to`` (Parameter 'x')"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let x = torch.ones ([| 2L; 4L |], device = torch.META)
                  SparseOps.spmm (Connectivity.full 3 4) (torch.ones 12L) x |> ignore)

          expect
              "a bias in another place than the values"
              "bias is on meta, values on cpu: bias.to(values.device), or values.to(bias.device); F# writes ``to`` (Parameter 'bias')"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  Conversion.ofValues
                      (Connectivity.full 3 4)
                      (torch.ones 12L)
                      (torch.ones ([| 3L |], device = torch.META))
                  |> ignore)

          expect
              "a K-winners layer that is not where its input is"
              "x is on meta, the layer on cpu: x.to(layer.duty_cycle.device), or layer.to(x.device); F# writes ``to``. The layer is KWinners(features=10, k=4, sparsity=0.65, alpha=0.1, boost=exponential, strength=1.5) (Parameter 'x')"
              (fun () ->
                  use layer = new KWinners(10)
                  use x = torch.zeros ([| 2L; 10L |], device = torch.META)
                  layer.call x |> ignore)

          if not (torch.cuda.is_available ()) then
              expect
                  "a layer on a graphics card that torch does not see"
                  "expected a device that torch has here, got cuda:0: the program that runs needs the package TorchSharp-cuda-linux or TorchSharp-cuda-windows, and the machine a card of NVIDIA's; torch.CPU is always there (Parameter 'device')"
                  (fun () -> new SparseLinear(4, 5, device = new torch.Device(DeviceType.CUDA, 0)) |> ignore) ]
