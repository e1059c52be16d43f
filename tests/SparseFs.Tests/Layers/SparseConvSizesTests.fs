module SparseFs.Tests.SparseConvSizesTests

open System
open Expecto
open SparseFs
open TorchSharp

/// The message of what is refused.
let private refusal (body: unit -> unit) : string =
    try
        body ()
        "nothing was refused"
    with :? ArgumentException as e ->
        e.Message

[<Tests>]
let constructors =
    testList
        "SparseConv constructors"
        [ testCase "sizes are numbers or tuples, and are told by torch's names" (fun () ->
              use layer =
                  new SparseConv2d(
                      6,
                      8,
                      (3, 5),
                      stride = (2, 1),
                      padding = 2,
                      dilation = struct (1, 2),
                      groups = 2,
                      sparsity = 0.5
                  )

              Expect.equal layer.kernel_size (ConvSize.op_Implicit (struct (3, 5))) "kernel_size"
              Expect.equal (string layer.kernel_size) "(3, 5)" "as Python writes it"
              Expect.equal (string layer.stride) "(2, 1)" "stride"
              Expect.equal (string layer.padding) "2" "padding as it was given"
              Expect.equal (string layer.dilation) "(1, 2)" "dilation"
              Expect.equal (layer.in_channels, layer.out_channels, layer.groups) (6L, 8L, 2L) "channels"
              Expect.equal layer.padding_mode PaddingModes.Zeros "padding_mode"
              let c = layer.Connectivity
              Expect.equal (c.Rows, c.Cols, c.Nnz) (8, 3 * 15, 180) "the pattern")

          testCase "text is PyTorch's, with what is sparse behind" (fun () ->
              use plain = new SparseConv2d(64, 128, 3, padding = 1, seed = Seed.ofInt 1)

              let start =
                  "SparseConv2d(64, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), nnz=7373, sparsity=0.899997, seed="

              Expect.stringStarts (string plain) start "2d"

              use other =
                  new SparseConv1d(
                      4,
                      4,
                      5,
                      padding = ConvPadding.Same,
                      groups = 2,
                      hasBias = false,
                      paddingMode = PaddingModes.Circular
                  )

              Expect.stringStarts
                  (string other)
                  "SparseConv1d(4, 4, kernel_size=(5,), stride=(1,), padding=same, groups=2, padding_mode=circular, nnz=4, sparsity=0.9, bias=False"
                  "1d")

          testCase "padding same keeps sizes, also of even kernels" (fun () ->
              use _ = torch.NewDisposeScope()

              for kernel in 1..5 do
                  for dilation in 1..3 do
                      use layer =
                          new SparseConv2d(
                              2,
                              3,
                              kernel,
                              padding = ConvPadding.Same,
                              dilation = dilation,
                              sparsity = 0.2
                          )

                      let x = torch.randn (2L, 2L, 7L, 9L)
                      let y = layer.call x
                      Expect.equal y.shape [| 2L; 3L; 7L; 9L |] "the size"
                      let weight = layer.weightMatrix().view(3L, 2L, int64 kernel, int64 kernel)

                      let bias =
                          match layer.bias with
                          | null -> failtest "no bias"
                          | bias -> bias

                      use twin =
                          torch.nn.Conv2d(2L, 3L, int64 kernel, padding = Padding.Same, dilation = int64 dilation)

                      use _ = torch.no_grad ()
                      twin.weight.copy_ weight |> ignore

                      match twin.bias with
                      | null -> failtest "no bias"
                      | own -> own.copy_ bias |> ignore

                      let wanted = twin.call x

                      Expect.isTrue
                          (y.allclose (wanted, rtol = 1e-4, atol = 1e-5))
                          $"kernel {kernel}, dilation {dilation}")

          testCase "initial weights are within 1/√fan-in of their channel" (fun () ->
              use layer = new SparseConv2d(8, 16, 3, topology = Topology.uniform, sparsity = 0.7)
              let fanIn = Connectivity.fanIn layer.Connectivity
              let weight = layer.weight.detach().data<float32>().ToArray()

              for row, value in Array.zip (Connectivity.rowIndices layer.Connectivity) weight do
                  Expect.isTrue (float (abs value) <= 1.0 / sqrt (float fanIn[row]) * 1.0000001) "a weight")

          testCase "what does not fit is refused before anything is made" (fun () ->
              let cases: (string * (unit -> SparseConv)) list =
                  [ "expected 1 or more, got 0 (Parameter 'inChannels')", (fun () -> new SparseConv2d(0, 4, 3))
                    "expected 1 or more, got -1 (Parameter 'outChannels')", (fun () -> new SparseConv2d(4, -1, 3))
                    "expected 1 or more, got 0 (Parameter 'kernelSize')", (fun () -> new SparseConv2d(4, 4, 0))
                    "expected one number, or 2 of them, one for each dimension, got (3, 3, 3) (Parameter 'kernelSize')",
                    (fun () -> new SparseConv2d(4, 4, (3, 3, 3)))
                    "expected one number, got (3, 3) (Parameter 'stride')",
                    (fun () -> new SparseConv1d(4, 4, 3, stride = (3, 3)))
                    "expected 1 or more, got 0 (Parameter 'stride')", (fun () -> new SparseConv2d(4, 4, 3, stride = 0))
                    "expected 1 or more, got (1, 0) (Parameter 'dilation')",
                    (fun () -> new SparseConv2d(4, 4, 3, dilation = (1, 0)))
                    "expected 0 or more, got -1 (Parameter 'padding')",
                    (fun () -> new SparseConv3d(4, 4, 3, padding = -1))
                    "expected 1 where padding is same, as in torch, got 2 (Parameter 'stride')",
                    (fun () -> new SparseConv2d(4, 4, 3, stride = 2, padding = ConvPadding.Same))
                    "expected a number that divides the 4 channels of the input and the 6 of the output, got 4 (Parameter 'groups')",
                    (fun () -> new SparseConv2d(4, 6, 3, groups = 4))
                    "expected 1 or more, got 0 (Parameter 'groups')", (fun () -> new SparseConv2d(4, 6, 3, groups = 0))
                    "expected Zeros, Reflect, Replicate or Circular, got Constant (Parameter 'paddingMode')",
                    (fun () -> new SparseConv2d(4, 6, 3, paddingMode = PaddingModes.Constant))
                    "expected at most 2^31 - 1 weights of a channel, got 65536 (Parameter 'kernelSize')",
                    (fun () -> new SparseConv2d(4, 6, 65536))
                    "got 1073741824 (Parameter 'dilation')",
                    (fun () -> new SparseConv2d(4, 6, 3, dilation = 1073741824))
                    "expected 36 columns, 9 cells for each of 4 input channels, got 35 (Parameter 'connectivity')",
                    (fun () -> new SparseConv2d(Topology.uniform 8 35 9 (Seed.ofInt 1), 4, 3)) ]

              for expected, make in cases do
                  Expect.stringContains (refusal (fun () -> make () |> ignore)) expected "the message")

          testCase "a stride beyond the input gives one pixel, and costs no memory of its own" (fun () ->
              use _ = torch.NewDisposeScope()
              use layer = new SparseConv2d(3, 8, 3, stride = (50_000, 7), sparsity = 0.5)
              use twin = Conversion.toDenseConv layer
              let x = torch.randn (2L, 3L, 32L, 31L, requires_grad = true)
              let y = layer.call x
              Expect.equal y.shape [| 2L; 8L; 1L; 5L |] "one pixel down"
              Expect.isTrue (y.allclose (twin.call x, rtol = 1e-4, atol = 1e-5)) "as torch's"

              let ofX (y: torch.Tensor) =
                  (torch.autograd.grad ([| y.square().sum() |], [| x |]))[0]

              Expect.isTrue ((ofX (layer.call x)).allclose(ofX (twin.call x), rtol = 1e-4, atol = 1e-4)) "its gradient")

          testCase "inputs that do not fit are refused with the layer's name" (fun () ->
              use layer = new SparseConv2d(4, 2, 3, sparsity = 0.5)

              use reflecting =
                  new SparseConv2d(4, 2, 3, padding = 2, paddingMode = PaddingModes.Reflect)

              use circular =
                  new SparseConv2d(4, 2, 3, padding = 2, paddingMode = PaddingModes.Circular)

              let reached = torch.ones(1L, 4L, 1L, 1L).expand(1L, 4L, 30000L, 30000L)

              let cases =
                  [ layer, torch.randn (2L, 3L, 8L, 8L), "expected 4 channels (in_channels), got [2, 3, 8, 8]"
                    layer, torch.randn (3L, 8L, 8L), "expected 4 channels (in_channels), got [3, 8, 8]"
                    layer, torch.randn (8L, 8L), "expected [N, 4, H, W] or [4, H, W], got [8, 8]"
                    layer, torch.randn (2L, 4L, 2L, 8L), "with padding, [3, 3] or more"
                    layer, torch.randn (2L, 4L, 8L, 8L, dtype = torch.float64), "Float64"
                    layer, reached, "fewer than 2^31 numbers of a sample"
                    reflecting, torch.randn (2L, 4L, 2L, 8L), "larger than the padding that reflects them"
                    circular, torch.randn (2L, 4L, 8L, 1L), "at least as large as the padding that wraps around" ]

              for layer, x, expected in cases do
                  let message = refusal (fun () -> layer.call x |> ignore)
                  Expect.stringContains message expected "what is said"
                  Expect.stringContains message "SparseConv2d(4, 2" "whose"

              let y = layer.call (torch.randn (0L, 4L, 8L, 8L))
              Expect.equal y.shape [| 0L; 2L; 6L; 6L |] "no sample") ]
