module SparseFs.Tests.BackendsTests

open System
open Expecto
open SparseFs
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp

let private floating =
    [ torch.ScalarType.Float16
      torch.ScalarType.BFloat16
      torch.ScalarType.Float32
      torch.ScalarType.Float64 ]

let private nameFor (arithmetic: Arithmetic) (dtype: torch.ScalarType) (device: DeviceType) =
    let chosen = (Backends.ofPlace dtype device)[int arithmetic]
    chosen.Name

/// A backend that counts calls of its products and does what another does.
let private counting (b: Backend) =
    let calls = Collections.Generic.List<string>()

    let spy =
        { b with
            Name = "spy"
            Spmm =
                fun plan values bias x ->
                    calls.Add "spmm"
                    b.Spmm plan values bias x
            SpmmT =
                fun plan values g ->
                    calls.Add "spmmT"
                    b.SpmmT plan values g
            Sddmm =
                fun plan g x ->
                    calls.Add "sddmm"
                    b.Sddmm plan g x
            Gradients =
                fun plan values x g wantsBias ->
                    let wanted =
                        [ if not (isNull x) then
                              "values"
                          if wantsBias then
                              "bias"
                          if not (isNull values) then
                              "input" ]
                        |> String.concat ", "

                    calls.Add $"gradients of {wanted}"
                    b.Gradients plan values x g wantsBias }

    spy, calls

let private pattern = Topology.uniform 7 9 20 (Seed.ofInt 3)

let private parameterOf (shape: int64[]) : torch.Tensor = (torch.randn shape).requires_grad_ true

[<Tests>]
let backends =
    testList
        "Backends"
        [ testCase "each place has one backend an arithmetic, by this table" (fun () ->
              let cpu =
                  [ Arithmetic.Sparse, "kernels"
                    Arithmetic.Dense, "kernels, dense"
                    Arithmetic.Faster, "kernels, or kernels, dense"
                    Arithmetic.SparseActivations, "kernels for sparse activations" ]

              let portable =
                  [ Arithmetic.Sparse, "portable"
                    Arithmetic.Dense, "portable, dense"
                    Arithmetic.Faster, "portable, or portable, dense"
                    Arithmetic.SparseActivations, "portable" ]

              for halves, device, dtype, names in
                  [ false, DeviceType.CPU, torch.ScalarType.Float32, cpu
                    true, DeviceType.CPU, torch.ScalarType.Float16, cpu
                    true, DeviceType.CPU, torch.ScalarType.BFloat16, cpu
                    false, DeviceType.CPU, torch.ScalarType.Float64, portable
                    false, DeviceType.CUDA, torch.ScalarType.Float32, portable
                    true, DeviceType.CUDA, torch.ScalarType.Float16, portable
                    true, DeviceType.CUDA, torch.ScalarType.BFloat16, portable
                    false, DeviceType.CUDA, torch.ScalarType.Float64, portable
                    false, DeviceType.MPS, torch.ScalarType.Float32, portable ] do
                  for arithmetic, name in names do
                      let wanted = if halves then $"{name}, in float32" else name
                      Expect.equal (nameFor arithmetic dtype device) wanted $"{arithmetic}, {dtype}, {device}")

          testCase "every arithmetic has a backend" (fun () ->
              let count = Enum.GetValues<Arithmetic>().Length

              for dtype in floating do
                  Expect.equal (Backends.ofPlace dtype DeviceType.CPU).Length count $"{dtype}"

              Expect.equal
                  [ for a in Enum.GetValues<Arithmetic>() -> int a ]
                  [ 0 .. count - 1 ]
                  "they are their numbers")

          testCase "halves are widened only where the backend does not take them itself" (fun () ->
              let takesHalf =
                  { PortableBackend.backend with
                      Accepts = fun dtype _ -> dtype = torch.ScalarType.Float32 || dtype = torch.ScalarType.Float16 }

              let widened = Backends.inFloat32 takesHalf

              Expect.equal
                  [ for dtype in floating -> widened.Accepts dtype DeviceType.CPU ]
                  [ false; true; false; false ]
                  "bfloat16 alone")

          testCase "one forward is one product, and one backward one call, of what is wanted" (fun () ->
              use _ = torch.NewDisposeScope()

              for name, b in
                  [ "portable", PortableBackend.backend
                    "kernels", CpuBackend.backend (Backends.forced (CpuSpmm.machineOf CpuSpmm.widest 1)) ] do
                  for wantsValues, wantsBias, wantsInput, calls in
                      [ true, true, true, "gradients of values, bias, input"
                        true, false, false, "gradients of values"
                        false, true, false, "gradients of bias"
                        false, false, true, "gradients of input" ] do
                      let spy, seen = counting b

                      let part wanted shape =
                          if wanted then parameterOf shape else torch.randn shape

                      let values, bias = part wantsValues [| 20L |], part wantsBias [| 7L |]
                      let x = part wantsInput [| 5L; 9L |]
                      (SparseOps.linearWith spy pattern values bias x).sum().backward()
                      Expect.equal (List.ofSeq seen) [ "spmm"; calls ] name)

          testCase "with create_graph, gradients are operations that have a gradient" (fun () ->
              use _ = torch.NewDisposeScope()
              let spy, seen = counting PortableBackend.backend
              let values, x = parameterOf [| 20L |], parameterOf [| 5L; 9L |]
              let y = (SparseOps.linearWith spy pattern values null x).pow(2.0.ToScalar()).sum()

              torch.autograd.grad ([| y |], [| values; x |], create_graph = true, retain_graph = true)
              |> ignore

              Expect.equal (List.ofSeq seen) [ "spmm"; "sddmm"; "spmmT" ] "calls")

          testCase "a layer's backend is chosen where its numbers are made" (fun () ->
              use layer = new SparseLinear(pattern)

              let chosen () =
                  layer.Versions.Read(fun v -> v.Numbers.Backends)

              let before = chosen ()
              layer.call (torch.randn (2L, 9L)) |> ignore
              layer.Arithmetic <- Arithmetic.Dense
              layer.call (torch.randn (2L, 9L)) |> ignore
              Expect.isTrue (obj.ReferenceEquals(before, chosen ())) "a forward chooses nothing"
              layer.``to`` torch.ScalarType.Float64 |> ignore
              let moved = (chosen ())[int Arithmetic.Sparse]
              Expect.equal moved.Name "portable" "it moved")

          testCase "Faster takes what breakEven says, and ArithmeticFor tells it" (fun () ->
              use _ = torch.NewDisposeScope()

              for nnz in [ 6; 12; 25; 31; 40; 60 ] do
                  let c = Topology.uniform 7 9 nnz (Seed.ofInt 4)
                  use layer = new SparseLinear(c)
                  layer.Arithmetic <- Arithmetic.Faster

                  for samples in [ 0; 1; 7; 8; 31; 32; 100 ] do
                      let sparse, ofSparse = counting PortableBackend.backend
                      let dense, ofDense = counting PortableBackend.backend
                      let b = Backends.faster dense sparse

                      SparseOps.linearWith b c (torch.randn (int64 nnz)) null (torch.randn (int64 samples, 9L))
                      |> ignore

                      let wanted =
                          if c.Sparsity < Arithmetic.breakEven samples then
                              Arithmetic.Dense
                          else
                              Arithmetic.Sparse

                      Expect.equal (layer.ArithmeticFor samples) wanted "told"

                      Expect.equal
                          (ofSparse.Count, ofDense.Count)
                          (if wanted = Arithmetic.Dense then 0, 1 else 1, 0)
                          $"{c}, {samples} samples")

          testCase
              "index tensors of a pattern go when they are released, but not under a call that uses them"
              (fun () ->
                  let c = Topology.uniform 40 50 300 (Seed.ofInt 5)
                  let mutable inside: torch.Tensor = Unchecked.defaultof<_>

                  SlotCells.withIndices c torch.CPU (fun rows cols ->
                      inside <- rows
                      SlotCells.release c
                      Expect.isFalse rows.IsInvalid "in use"

                      Expect.equal
                          (rows.sum().item<int64>())
                          (Connectivity.rowIndices c |> Array.sumBy int64)
                          "still there"

                      Expect.equal (cols.numel ()) (int64 c.Nnz) "all")

                  Expect.isTrue inside.IsInvalid "freed after the call"

                  SlotCells.withIndices c torch.CPU (fun rows _ ->
                      Expect.isFalse (obj.ReferenceEquals(rows, inside)) "made anew"
                      Expect.equal (rows.numel ()) (int64 c.Nnz) "all")

                  SlotCells.release c)

          testCase "a layer that keeps pattern and device keeps its index tensors" (fun () ->
              use layer =
                  new SparseLinear(Topology.uniform 7 9 20 (Seed.ofInt 6), dtype = torch.ScalarType.Float64)

              use twin = new SparseLinear(layer.Connectivity, dtype = torch.ScalarType.Float64)
              let mutable rowsOf: torch.Tensor = Unchecked.defaultof<_>
              SlotCells.withIndices layer.Connectivity torch.CPU (fun rows _ -> rowsOf <- rows)

              for _ in 1..2 do
                  layer.load_state_dict (twin.state_dict ()) |> ignore
                  layer.call (torch.randn (2L, 9L, dtype = torch.float64)) |> ignore

              Expect.isFalse rowsOf.IsInvalid "kept")

          testCase "a layer that leaves its pattern lets go of its index tensors" (fun () ->
              let mutable rowsOf: torch.Tensor = Unchecked.defaultof<_>

              let noteRows (c: Connectivity) =
                  SlotCells.withIndices c torch.CPU (fun rows _ -> rowsOf <- rows)

              for leave in
                  [ fun (layer: SparseLinear) ->
                        let other = new SparseLinear(Topology.uniform 7 9 20 (Seed.ofInt 8))
                        layer.load_state_dict (other.state_dict ()) |> ignore
                    fun layer -> layer.Dispose() ] do
                  let layer =
                      new SparseLinear(Topology.uniform 7 9 20 (Seed.ofInt 7), dtype = torch.ScalarType.Float64)

                  layer.call (torch.randn (2L, 9L, dtype = torch.float64)) |> ignore
                  noteRows layer.Connectivity
                  Expect.isFalse rowsOf.IsInvalid "used"
                  leave (layer)

                  if not rowsOf.IsInvalid then
                      layer.call (torch.randn (2L, 9L, dtype = torch.float64)) |> ignore // takes the load over

                  Expect.isTrue rowsOf.IsInvalid "let go of")

          testCase "on Linux products run on the threads of libtorch's own OpenMP" (fun () ->
              torch.randn 3L |> ignore // loads libtorch

              if OperatingSystem.IsLinux() then
                  Expect.isFalse (obj.ReferenceEquals(OpenMpTeam.get (), ParallelFor.ThreadPool)) "found") ]
