module SparseFs.Tests.FacadeTests

open System
open System.Collections.Generic
open System.ComponentModel
open System.IO
open System.Reflection
open System.Runtime.CompilerServices
open System.Text.RegularExpressions
open System.Xml.Linq
open Expecto
open FsCheck
open FsCheck.FSharp
open Microsoft.FSharp.Reflection
open SparseFs
open SparseFs.CSharp
open TorchSharp
open SparseFs.Tests.PublicSurface

// ---------------------------------------------------------------------------------------------------------
// No trace of F#
// ---------------------------------------------------------------------------------------------------------

let fSharpIn (members: MemberInfo list) =
    [ for m in members do
          for t in signatureOf m do
              if isFSharp t then
                  $"{typeName (declaring m)}.{m.Name} mentions {typeName t}" ]

[<Tests>]
let signatures =
    testList
        "Facade signatures"
        [ testCase "no public signature mentions a type of F#" (fun () ->
              let inSignatures = facadeTypes |> List.collect publicMembers |> fSharpIn
              Expect.contains facadeTypes typeof<OnnxFiles> "not vacuous"

              let inHeritage =
                  [ for t in facadeTypes do
                        for parent in Option.toList (Option.ofObj t.BaseType) @ List.ofArray (t.GetInterfaces()) do
                            if isFSharp parent then
                                $"{typeName t} is a {typeName parent}" ]

              Expect.equal (inSignatures @ inHeritage) [] "F# leaks")

          testCase "the core's types that it shows have no member of an F# type, but constructors" (fun () ->
              let shown =
                  facadeTypes
                  |> List.collect publicMembers
                  |> List.collect signatureOf
                  |> List.filter (fun t -> List.contains t.Assembly [ core; layers; onnx; deploy ])
                  |> List.distinct

              Expect.contains shown typeof<Connectivity> "not vacuous"

              let notConstructors (t: Type) =
                  publicMembers t |> List.filter (fun m -> not (m :? ConstructorInfo))

              Expect.equal (shown |> List.collect notConstructors |> fSharpIn) [] "F# leaks") ]

// ---------------------------------------------------------------------------------------------------------
// Parity with the core
// ---------------------------------------------------------------------------------------------------------

/// Type.name, with the names of the parameters where the name is overloaded.
let namesOf (nameOfType: Type -> string) (members: MemberInfo list) =
    members
    |> List.groupBy (fun m -> declaring m, m.Name)
    |> List.collect (fun ((t, name), overloads) ->
        let short =
            nameOfType t
            + (if name = ".ctor" then
                   ""
               else
                   "." + SourceNames.fsharpName overloads.Head)

        [ for m in overloads do
              let parameters = parametersOf m |> List.map parameterName |> String.concat ", "

              if overloads.Length = 1 then
                  short
              else
                  $"{short}({parameters})" ])

/// Every function of every module, every constructor of every layer, and the calls in SparseLinear's words.
let coreNames =
    let isLayer (t: Type) =
        typeof<torch.nn.Module>.IsAssignableFrom t

    // F# lengthens the name of a module that stands beside a type of its name.
    let sourceName (t: Type) =
        let short = (fullNameOf t).Replace("Module", "")

        [ core; layers; onnx; deploy ]
        |> List.tryPick (fun assembly -> Option.ofObj (assembly.GetType short))
        |> Option.map _.Name
        |> Option.defaultValue t.Name

    [ for t in coreTypes do
          if FSharpType.IsModule t then
              yield! publicMembers t |> namesOf sourceName
          elif isLayer t then
              yield!
                  publicMembers t
                  |> List.filter (fun m -> m :? ConstructorInfo)
                  |> namesOf sourceName
          elif t = typeof<FromSparseLinear> || t = typeof<SparseOptim> then
              yield! publicMembers t |> namesOf sourceName ]

let facadeNames =
    facadeTypes
    |> List.filter (fun t -> not t.IsEnum)
    |> List.collect (fun t ->
        publicMembers t
        |> namesOf (fun t -> typeName(t).Replace("SparseFs.CSharp.", "")))

let counterparts =
    [ "Connectivity.create", [ "Connectivities.Create" ]
      "Connectivity.tryCreate", [ "Connectivities.TryCreate" ]
      "Connectivity.ofPairs", [ "Connectivities.FromPairs" ]
      "Connectivity.tryOfPairs", [ "Connectivities.TryFromPairs" ]
      "Connectivity.ofMask", [ "Connectivities.FromMask" ]
      "Connectivity.ofMagnitude", [ "Connectivities.FromMagnitude" ]
      "Connectivity.ofMagnitudes", [ "Connectivities.FromMagnitudes" ]
      "Connectivity.empty", [ "Connectivities.Empty" ]
      "Connectivity.full", [ "Connectivities.Full" ]
      "Connectivity.rowIndices", [ "ConnectivityReading.RowIndices" ]
      "Connectivity.toMask", [ "ConnectivityReading.ToMask" ]
      "Connectivity.tryFindSlot", [ "ConnectivityReading.TryFindSlot" ]
      "Connectivity.fanIn", [ "ConnectivityReading.FanIn" ]
      "Connectivity.fanOut", [ "ConnectivityReading.FanOut" ]
      "Connectivity.transpose", [ "ConnectivityAlgebra.Transpose" ]
      "Connectivity.union", [ "ConnectivityAlgebra.Union" ]
      "Connectivity.intersect", [ "ConnectivityAlgebra.Intersect" ]
      "Connectivity.difference", [ "ConnectivityAlgebra.Difference" ]
      "Connectivity.diff", [ "ConnectivityAlgebra.Diff" ]
      "Connectivity.isSubset", [ "ConnectivityAlgebra.IsSubsetOf" ]
      "Seed.ofInt", [ "Seeds.FromInt" ]
      "Seed.ofInt64", [ "Seeds.FromInt64" ]
      "Seed.ofWords", [ "Seeds.FromWords" ]
      "Seed.bitsAt", [ "Seeds.BitsAt" ]
      "Seed.child", [ "Seeds.Child" ]
      "Seed.split", [ "Seeds.Split" ]
      "Arithmetic.breakEven", [ "Arithmetics.BreakEven" ]
      "SparsityDistribution.counts", [ "SparsityDistributions.Counts" ]
      "SparsityDistribution.countsInRowGroups", [ "SparsityDistributions.CountsInRowGroups" ]
      "Sparsity.nnz", [ "Sparsities.ToNnz" ]
      "Sparsity.ofNnz", [ "Sparsities.FromNnz" ]
      "Topology.uniform", [ "Topologies.Uniform" ]
      "Topology.smallWorld", [ "Topologies.SmallWorld" ]
      "Topology.smallWorldWith", []
      "Topology.wattsStrogatz", [ "Topologies.WattsStrogatz" ]
      "Topology.constantFanIn", [ "Topologies.ConstantFanIn" ]
      "Topology.constantFanOut", [ "Topologies.ConstantFanOut" ]
      "Topology.biregular", [ "Topologies.Biregular" ]
      "Topology.scaleFree", [ "Topologies.ScaleFree" ]
      "Topology.banded", [ "Topologies.Banded" ]
      "Topology.block", [ "Topologies.Block" ]
      "Topology.inKernels", [ "Topologies.InKernels" ]
      "Topology.rowGroups",
      [ "Topologies.RowGroups(size, rows, cols, nnz, seed)"
        "Topologies.RowGroups(size)" ]
      "Connectivity.rowGroupSize", [ "ConnectivityReading.RowGroupSize" ]
      "Topology.nOfM", [ "Topologies.NOfM" ]
      "GraphMetrics.fanInDistribution", [ "ConnectivityMetrics.FanInDistribution" ]
      "GraphMetrics.fanOutDistribution", [ "ConnectivityMetrics.FanOutDistribution" ]
      "GraphMetrics.deadRows", [ "ConnectivityMetrics.DeadRows" ]
      "GraphMetrics.deadCols", [ "ConnectivityMetrics.DeadCols" ]
      "GraphMetrics.meanDistance", [ "ConnectivityMetrics.MeanDistance" ]
      "GraphMetrics.overlap", [ "ConnectivityMetrics.Overlap" ]
      "GraphMetrics.components", [ "ConnectivityMetrics.Components" ]
      "GraphMetrics.clustering", [ "ConnectivityMetrics.Clustering" ]
      "GraphMetrics.pathLength", [ "ConnectivityMetrics.PathLength" ]
      "Remap.identity", [ "Remaps.Identity" ]
      "Remap.between", [ "Remaps.RemapTo" ]
      "Remap.apply", [ "Remaps.Apply" ]
      "Schedule.never", [ "Schedules.Never" ]
      "Schedule.constant", [ "Schedules.Constant" ]
      "Schedule.cosine", [ "Schedules.Cosine" ]
      "Schedule.linear", [ "Schedules.Linear" ]
      "Schedule.inversePower", [ "Schedules.InversePower" ]
      "Schedule.from", []
      "Schedule.isUpdate", [ "Schedules.IsUpdate" ]
      "Schedule.progress", [ "Schedules.Progress" ]
      "Schedule.fraction", [ "Schedules.FractionAt" ]
      "Schedule.cubicSparsity", [ "Schedules.CubicSparsity" ]
      "Policy.staticSparse", [ "Policies.Static" ]
      "Policy.rigL", [ "Policies.RigL" ]
      "Policy.set", [ "Policies.Set" ]
      "Policy.snfs", [ "Policies.Snfs" ]
      "Policy.srigL", [ "Policies.SRigL" ]
      "Policy.gradual", [ "Policies.Gradual" ]
      "Policy.inRowGroups", [ "Policies.InRowGroups" ]
      "Policy.inKernels", [ "Policies.InKernels" ]
      "Policy.growthInputs", [ "Policies.GetGrowthInputs" ]
      "CellScores.map", [ "CellScoring.Map" ]
      "CellScores.mapi", [ "CellScoring.MapCells" ]
      "CellScores.abs", [ "CellScoring.Abs" ]
      "Rewire.state", [ "PatternUpdates.State" ]
      "Rewire.layerBy", [ "PatternUpdates.LayerBy" ]
      "Rewire.layersBy", [ "PatternUpdates.LayersBy" ]
      "Rewire.step", [ "PatternUpdates.Update" ]
      "Picture.brailleWithin", [ "Pictures.ToBraille(connectivity, columns, lines)" ]
      "Picture.braille", [ "Pictures.ToBraille(connectivity)" ]
      "Picture.svg", [ "Pictures.ToSvg" ]
      "Picture.filterBank", [ "Pictures.ToFilterBankSvg" ]
      "Summary.ofModel", [ "Summaries.Summary(model)" ]
      "Summary.ofInput", [ "Summaries.Summary(model, input)" ]
      "Summary.ofShape", [ "Summaries.Summary(model, shape)" ]
      "Telemetry.toSummary", [ "Rewiring.WriteTo" ]
      "Flops.forward", [ "FlopCounts.Forward" ]
      "Flops.training", [ "FlopCounts.Training" ]
      "Flops.rigL", [ "FlopCounts.RigL" ]
      "Safetensors.save", [ "SafetensorsFiles.Save" ]
      "Safetensors.load", []
      "Safetensors.loadWhere", [ "SafetensorsFiles.Load" ]
      "Safetensors.inspect", [ "SafetensorsFiles.Inspect" ]
      "Checkpoint.save", [ "Checkpoints.Save(model, path, notes)" ]
      "Checkpoint.saveWith", [ "Checkpoints.Save(model, path, layout, notes)" ]
      "Checkpoint.load", []
      "Checkpoint.loadFrom", []
      "Checkpoint.loadWith", [ "Checkpoints.Load" ]
      "Checkpoint.sparseLayer", [ "Checkpoints.SparseLayer(path, name, form, sparsity)" ]
      "Checkpoint.sparseLayerOf", [ "Checkpoints.SparseLayer(path, name, inFeatures, outFeatures, form, sparsity)" ]
      "AveragingRule.check", []
      "AveragingFile.save", [ "Averages.Save" ]
      "AveragingFile.resume", [ "Averages.Resume" ]
      "Checkpoint.saveTraining",
      [ "Checkpoints.SaveTraining(model, path, optimizer, rewirer, step, seed, notes)"
        "Checkpoints.SaveTraining(model, path, optimizer, rewirer, step, seed, notes)" ]
      "Checkpoint.resume", [ "Checkpoints.Resume" ]
      "Checkpoint.resumeScheduler", [ "Checkpoints.ResumeScheduler(optimizer, make, steps)" ]
      "Checkpoint.resumeSchedulerOn", [ "Checkpoints.ResumeScheduler(optimizer, make, metrics)" ]
      "Conversion.ofDense", [ "Conversions.ToSparse(dense, sparsity, rowGroup, groupNorm)" ]
      "Conversion.ofDenseConv", [ "Conversions.ToSparse(dense, sparsity, rowGroup, groupNorm, wholeKernels)" ]
      "Conversion.ofDenseConvInRowGroups", [] // rowGroup of ToSparse
      "Conversion.ofDenseConvInKernels", [] // wholeKernels of ToSparse
      "Conversion.ofDenseConvPattern", [ "Conversions.ToSparse(dense, connectivity)" ]
      "Conversion.ofDenseConvMask", [ "Conversions.ToSparse(dense, mask)" ]
      "Conversion.toDenseConv", [ "Conversions.ToDense(layer)" ]
      "Conversion.ofDenseInRowGroups", [] // rowGroup of ToSparse
      "Conversion.ofDensePattern", [ "Conversions.ToSparse(dense, connectivity)" ]
      "Conversion.ofDenseMask", [ "Conversions.ToSparse(dense, mask)" ]
      "Conversion.ofValues", [ "Conversions.FromValues" ]
      "Conversion.toDense", [ "Conversions.ToDense(layer)" ]
      "Sparsify.each", []
      "Sparsify.byName", []
      "Sparsify.shared", []
      "Sparsify.globally", []
      "Sparsify.matching", []
      "Sparsify.only", []
      "Sparsify.inRowGroups", []
      "Sparsify.inKernels", []
      "Sparsify.fasterFor", []
      "Sparsify.model", [ "Sparsifying.Sparsify" ]
      "Sparsify.modelWith", []
      "Sparsify.twins", [ "Sparsifying.ReplaceByTwins" ]
      "Sparsify.densify", [ "Sparsifying.Densify" ]
      "Npy.read", [ "NpyFiles.Read" ]
      "Npy.readFrom", [ "NpyFiles.ReadFrom" ]
      "Npy.write", [ "NpyFiles.Write" ]
      "Npy.writeTo", [ "NpyFiles.WriteTo" ]
      "MatrixMarket.read", [ "MatrixMarketFiles.Read" ]
      "MatrixMarket.readFrom", [ "MatrixMarketFiles.ReadFrom" ]
      "MatrixMarket.readDense", [ "MatrixMarketFiles.ReadDense" ]
      "MatrixMarket.readDenseFrom", [ "MatrixMarketFiles.ReadDenseFrom" ]
      "MatrixMarket.write", [ "MatrixMarketFiles.Write" ]
      "MatrixMarket.writeTo", [ "MatrixMarketFiles.WriteTo" ]
      "MatrixMarket.writePattern", [ "MatrixMarketFiles.WritePattern" ]
      "MatrixMarket.writePatternTo", [ "MatrixMarketFiles.WritePatternTo" ]
      "MatrixMarket.writeDense", [ "MatrixMarketFiles.WriteDense" ]
      "MatrixMarket.writeDenseTo", [ "MatrixMarketFiles.WriteDenseTo" ]
      "TensorFile.toNpyArray", [ "TensorFiles.ToNpyArray" ]
      "TensorFile.ofNpyArray", [ "TensorFiles.ToTensor" ]
      "TensorFile.toNpy", [ "TensorFiles.WriteNpy" ]
      "TensorFile.ofNpy", [ "TensorFiles.ReadNpy" ]
      "TensorFile.toMtx", [ "TensorFiles.WriteMtx" ]
      "TensorFile.ofMtx", [ "TensorFiles.ReadMtx" ]
      "TensorFile.toDenseMtx", [ "TensorFiles.WriteDenseMtx" ]
      "TensorFile.ofDenseMtx", [ "TensorFiles.ReadDenseMtx" ]
      "Deploy.defaults", []
      "Deploy.save", []
      "Deploy.saveWith", [ "DeployFiles.Deploy" ]
      "Onnx.defaults", []
      "Onnx.export", []
      "Onnx.exportWith", [ "OnnxFiles.ExportOnnx" ]
      "Onnx.writeTo", [ "OnnxFiles.WriteOnnx" ]
      "KWinners.count", [ "Winners.Count" ]
      "KWinners.atInference", [ "Winners.AtInference" ]
      "KWinners.winners", [ "Winners.Choose" ]
      "KWinners.activate", [ "Winners.Activate" ]
      "Boost.scores", [ "Winners.Scores" ]
      "DutyCycle.weight", [ "Winners.Weight" ]
      "DutyCycle.update", [ "Winners.Update" ]
      "DutyCycle.entropy", [ "Winners.Entropy" ]
      "DutyCycle.maxEntropy", [ "Winners.MaxEntropy" ]
      "KWinnersOps.winners", [ "sparsenn.functional.kwinners" ]
      "KWinners", [ "sparsenn.KWinners" ]
      "KWinners2d", [ "sparsenn.KWinners2d" ]
      "SparseOptim.adamW(parameters, lr, beta1, beta2, eps, weightDecay, amsgrad, maximize, maxNorm)",
      [ "sparseoptim.AdamW(parameters, lr, beta1, beta2, eps, weightDecay, amsgrad, maximize, maxNorm)" ]
      "SparseOptim.adamW(groups, lr, maxNorm)", [ "sparseoptim.AdamW(groups, lr, maxNorm)" ]
      "SparseOptim.adam(parameters, lr, beta1, beta2, eps, weightDecay, amsgrad, maximize, maxNorm)",
      [ "sparseoptim.Adam(parameters, lr, beta1, beta2, eps, weightDecay, amsgrad, maximize, maxNorm)" ]
      "SparseOptim.adam(groups, lr, maxNorm)", [ "sparseoptim.Adam(groups, lr, maxNorm)" ]
      "SparseOptim.sgd(parameters, lr, momentum, dampening, weightDecay, nesterov, maximize, maxNorm)",
      [ "sparseoptim.SGD(parameters, lr, momentum, dampening, weightDecay, nesterov, maximize, maxNorm)" ]
      "SparseOptim.sgd(groups, lr, maxNorm)", [ "sparseoptim.SGD(groups, lr, maxNorm)" ]
      "SparseOptim.rmsProp(parameters, lr, alpha, eps, weightDecay, momentum, centered, maximize, maxNorm)",
      [ "sparseoptim.RMSProp(parameters, lr, alpha, eps, weightDecay, momentum, centered, maximize, maxNorm)" ]
      "SparseOptim.rmsProp(groups, lr, maxNorm)", [ "sparseoptim.RMSProp(groups, lr, maxNorm)" ]
      "KWinnersOptions.defaults", [ "KWinnersSettings.Create" ]
      "Coo.toConnectivity", [ "ConnectivityTensors.FromIndices" ]
      "Coo.ofConnectivity", [ "ConnectivityTensors.ToIndices" ]
      "Init.reset", [ "Initializations.Reset" ]
      "SparseOps.linear", [ "sparsenn.functional.linear" ]
      "SparseOps.spmm", [ "sparsenn.functional.spmm" ]
      "SparseOps.spmmT", [ "sparsenn.functional.spmmT" ]
      "SparseOps.sddmm", [ "sparsenn.functional.sddmm" ]
      "SparseOps.toDense", [ "sparsenn.functional.toDense" ]
      "SparseOps.backward", [ "sparsenn.functional.backward" ]
      "SparseLinear(connectivity, hasBias, init, device, dtype, policy)",
      [ "sparsenn.SparseLinear(connectivity, hasBias, init, device, dtype, policy)" ]
      "SparseLinear(inFeatures, outFeatures, sparsity, seed, hasBias, init, device, dtype, topology, policy)",
      [ "sparsenn.SparseLinear(inFeatures, outFeatures, seed, hasBias, sparsity, init, device, dtype, policy)"
        "sparsenn.SparseLinear(inFeatures, outFeatures, topology, sparsity, seed, hasBias, init, device, dtype, policy)" ]
      "FromSparseLinear.SparseLinear",
      [ "sparsenn.SparseLinear(inFeatures, outFeatures, hasBias, sparsity, connectivity, seed, init, device, dtype, smallWorld, dynamic, deltaT, tEnd, alpha)" ]
      "FromSparseLinear.ActivationSparsity", [ "sparsenn.ActivationSparsity" ]
      for layer in
          [ "SparseRNN"
            "SparseGRU"
            "SparseLSTM"
            "SparseGRUCell"
            "SparseLSTMCell"
            "SparseMultiheadAttention"
            "SparseFeedForward"
            "SparseTransformerBlock"
            "SparseTransformerEncoderLayer" ] do
          layer, [ $"sparsenn.{layer}" ]
      for d in 1..3 do
          $"SparseConvTranspose{d}d(connectivity, outChannels, kernelSize, stride, padding, outputPadding, dilation, groups, hasBias, init, device, dtype, policy)",
          [ $"sparsenn.SparseConvTranspose{d}d(connectivity, outChannels, kernelSize, stride, padding, outputPadding, dilation, groups, hasBias, init, device, dtype, policy)" ]

          $"SparseConvTranspose{d}d(inChannels, outChannels, kernelSize, sparsity, seed, stride, padding, outputPadding, dilation, groups, hasBias, init, device, dtype, topology, policy)",
          [ $"sparsenn.SparseConvTranspose{d}d(inChannels, outChannels, kernelSize, stride, padding, outputPadding, dilation, groups, hasBias, sparsity, topology, seed, init, device, dtype, policy)" ]

          $"SparseConv{d}d(connectivity, inChannels, kernelSize, stride, padding, dilation, groups, paddingMode, hasBias, init, device, dtype, policy)",
          [ $"sparsenn.SparseConv{d}d(connectivity, inChannels, kernelSize, stride, padding, dilation, paddingMode, groups, hasBias, init, device, dtype, policy)" ]

          $"SparseConv{d}d(inChannels, outChannels, kernelSize, sparsity, seed, stride, padding, dilation, groups, paddingMode, hasBias, init, device, dtype, topology, policy)",
          [ $"sparsenn.SparseConv{d}d(inChannels, outChannels, kernelSize, stride, padding, dilation, paddingMode, groups, hasBias, sparsity, topology, seed, init, device, dtype, policy)" ] ]

/// Functions of the core that C# goes without, each with the reason.
let onlyCore: (string * string) list =
    [ "Boost.strength", "C# has the form and the strength apart"
      "Boost.decayed", "C# multiplies the strength; a layer's own EndEpoch does"
      "MomentumWindow.standard", "momentumBeta and momentumSteps of Policies.Custom default to it"
      "KWinnersOptions.ofSparsity", "C# names the argument: KWinnersOptions.Create(sparsity: 0.9)"
      "KWinnersOptions.ofK", "likewise"
      "KWinnersOptions.check", "KWinnersOptions.Create checks, and so does every layer"
      "Schedule.check", "the functions that make a schedule have checked it, and C# makes it by no other way"
      "Policy.check", "Policies.Custom checks, and so does whatever takes a policy"
      "SequentialBuilder.sequential", "nn.Sequential((\"hidden\", layer), …) takes layers of any kind in C#" ]

/// Members that the core has no function for, each with the reason.
let onlyFacade =
    [ "Policies.Custom", "F# writes { policy with ... }"
      "Averages.Exponential", "Averaging has it, with averagesBuffers in its constructor"
      "Averages.Mean", "likewise"
      "Rewiring.Rewire(model, optimizer, policy, seed, onUpdate, layers)",
      "F# has the constructor, and subscribes to Events"
      "Rewiring.Rewire(model, optimizer, seed, onUpdate, layers)", "likewise, for policies that layers carry"
      "Scalings.SuPar", "Scaling.suPar, which C# may call too"
      for dense in [ "LSTM"; "GRU"; "RNN" ] do
          "Conversions.ToSparse(dense, sparsity, recurrentSparsity, dropout)",
          $"Sparse{dense}.ofDense, which C# may call too" ]

let expectSame (expected: string list) (actual: string list) =
    let unknown = List.except expected actual
    let gone = List.except actual expected
    Expect.equal unknown [] "in the assembly, but not in the map above: give it a counterpart"
    Expect.equal gone [] "in the map above, but not in the assembly"
    Expect.equal actual.Length expected.Length "each once"

[<Tests>]
let parity =
    testList
        "Facade parity"
        [ testCase "every function and every layer of the core has its counterpart, and none is gone" (fun () ->
              let expected = List.map fst counterparts @ List.map fst onlyCore
              expectSame expected coreNames)

          testCase "docs/csharp.md has a row for each module and its class" (fun () ->
              let namesIn (cell: string) =
                  [ for name in Regex.Matches(cell, @"`([\w.]+)") -> name.Groups[1].Value ]

              let rows =
                  [ for line in (ArchitectureTests.read "docs/csharp.md").Split '\n' do
                        match line.Split '|' with
                        | [| _; core; facade; _ |] -> namesIn core, namesIn facade
                        | _ -> () ]

              let owner (name: string) =
                  let name = (name.Split '(')[0]

                  if name.Contains '.' then
                      name[.. name.LastIndexOf '.' - 1]
                  else
                      name

              let missing =
                  [ for core, facades in counterparts do
                        for facade in facades do
                            let core, facade = owner core, owner facade

                            if
                                not (
                                    rows
                                    |> List.exists (fun (cores, inCSharp) ->
                                        List.contains core cores && List.contains facade inCSharp)
                                )
                            then
                                $"{core} | {facade}" ]

              Expect.equal (List.distinct missing) [] "rows"

              let absent =
                  facadeTypes
                  |> List.filter (fun t ->
                      let name = (typeName t).Replace("SparseFs.CSharp.", "")
                      not (rows |> List.exists (fun (_, inCSharp) -> List.contains name inCSharp)))

              Expect.equal absent [] "classes that no row has")

          testCase "smallWorld gives the small world" (fun () ->
              use layer =
                  sparsenn.SparseLinear(30L, 20L, sparsity = 0.7, seed = 4L, smallWorld = true)

              Expect.equal layer.Connectivity (Topology.smallWorld 20 30 180 (Seed.ofInt 4)) "C#"

              use layer =
                  new SparseLinear(30, 20, sparsity = 0.7, seed = Seed.ofInt 4, topology = Topology.smallWorld)

              Expect.equal layer.Connectivity (Topology.smallWorld 20 30 180 (Seed.ofInt 4)) "F#")

          testCase "the allocation is the core's" (fun () ->
              let shapes = [| [| 300; 784 |]; [| 100; 300 |]; [| 10; 100 |] |]

              for rule in
                  [ SparsityDistribution.Uniform
                    SparsityDistribution.ErdosRenyi
                    SparsityDistribution.ErdosRenyiKernel ] do
                  Expect.equal
                      (SparsityDistributions.Counts(rule, 0.9, shapes))
                      (SparsityDistribution.counts rule [||] 0.9 shapes)
                      "all sparse"

                  Expect.equal
                      (SparsityDistributions.Counts(rule, 0.9, shapes, [| 2 |]))
                      (SparsityDistribution.counts rule [| 2 |] 0.9 shapes)
                      "one dense"

                  Expect.equal
                      (SparsityDistributions.CountsInRowGroups(4, rule, 0.9, shapes))
                      (SparsityDistribution.countsInRowGroups 4 rule [||] 0.9 shapes)
                      "all sparse, in row groups"

                  Expect.equal
                      (SparsityDistributions.CountsInRowGroups(3, rule, 0.9, shapes, [| 2 |]))
                      (SparsityDistribution.countsInRowGroups 3 rule [| 2 |] 0.9 shapes)
                      "one dense, in row groups")

          testCase "the generators are the core's" (fun () ->
              let seed = Seed.ofInt 4

              for placement in [ Placement.Centred; Placement.Stretched ] do
                  Expect.equal
                      (Topologies.SmallWorld(20, 30, 200, seed, placement))
                      (Topology.smallWorldWith placement ValueNone 20 30 200 seed)
                      "SmallWorld"

              Expect.equal (Topologies.SmallWorld(20, 30, 200, seed)) (Topology.smallWorld 20 30 200 seed) "SmallWorld"

              Expect.equal
                  (Topologies.SmallWorld(20, 30, 200, seed, lambda = 2.0))
                  (Topology.smallWorldWith Placement.Centred (ValueSome 2.0) 20 30 200 seed)
                  "SmallWorld, λ"

              Expect.equal
                  (Topologies.WattsStrogatz(20, 30, 5, 0.2, seed))
                  (Topology.wattsStrogatz 20 30 5 0.2 seed)
                  "WattsStrogatz"

              Expect.equal (Topologies.ConstantFanIn(20, 30, 5, seed)) (Topology.constantFanIn 20 30 5 seed) "fan-in"

              Expect.equal
                  (Topologies.ConstantFanOut(20, 30, 5, seed))
                  (Topology.constantFanOut 20 30 5 seed)
                  "fan-out"

              Expect.equal (Topologies.Banded(20, 30, 77)) (Topology.banded 20 30 77) "Banded"
              Expect.equal (Topologies.RowGroups(4, 22, 30, 70, seed)) (Topology.rowGroups 4 22 30 70 seed) "RowGroups"

              Expect.equal
                  (Topologies.InKernels(3).Invoke(22, 30, 70, seed))
                  (Topology.inKernels 3 Topology.uniform 22 30 70 seed)
                  "InKernels"

              Expect.equal
                  (Topologies.InKernels(3, Topologies.RowGroups 2).Invoke(22, 30, 70, seed))
                  (Topology.inKernels 3 (Topology.rowGroups 2) 22 30 70 seed)
                  "InKernels of groups"

              Expect.equal
                  (Topologies.RowGroups(4).Invoke(22, 30, 70, seed))
                  (Topology.rowGroups 4 22 30 70 seed)
                  "RowGroups"

              Expect.equal
                  (Topologies.RowGroups(4, 22, 30, 70, seed).RowGroupSize())
                  (Connectivity.rowGroupSize (Topology.rowGroups 4 22 30 70 seed))
                  "RowGroupSize"

              Expect.equal (Topologies.Block(20, 30, 5, 7, seed)) (Topology.block 20 30 5 7 seed) "Block"
              Expect.equal (Topologies.NOfM(20, 30, 2, 5, seed)) (Topology.nOfM 20 30 2 5 seed) "NOfM")

          testCase "the break-even sparsity is the core's" (fun () ->
              for samples in [ 0; 1; 7; 8; 31; 32; 1000 ] do
                  Expect.equal (Arithmetics.BreakEven samples) (Arithmetic.breakEven samples) $"{samples} samples")

          testCase "every member of the facade is the counterpart of something" (fun () ->
              let expected = List.collect snd counterparts @ List.map fst onlyFacade
              expectSame expected facadeNames)

          testCase "Boosting has the cases of Boost" (fun () ->
              let cases = FSharpType.GetUnionCases typeof<Boost> |> Array.map _.Name
              Expect.equal (Enum.GetNames<Boosting>()) cases "cases")

          testCase "Initialization has the cases of Init" (fun () ->
              let cases = FSharpType.GetUnionCases typeof<Init> |> Array.map _.Name
              Expect.equal (Enum.GetNames<Initialization>()) cases "cases") ]

// ---------------------------------------------------------------------------------------------------------
// The same answers as the core
// ---------------------------------------------------------------------------------------------------------

let law (name: string) (arb: Arbitrary<'a>) (body: 'a -> unit) =
    testPropertyWithConfig
        { FsCheckConfig.defaultConfig with
            maxTest = 50 }
        name
        (Prop.forAll arb body)

let maskGen (rows: int) (cols: int) =
    Gen.elements [ false; true ]
    |> Gen.arrayOfLength (rows * cols)
    |> Gen.map (fun cells -> Array2D.init rows cols (fun r c -> cells[r * cols + c]))

/// Two patterns of one shape, which may be empty.
let twoPatterns =
    gen {
        let! rows = Gen.choose (0, 6)
        let! cols = Gen.choose (0, 9)
        let! a = maskGen rows cols
        let! b = maskGen rows cols
        return Connectivity.ofMask a, Connectivity.ofMask b
    }
    |> Arb.fromGen

let pattern = twoPatterns |> Arb.toGen |> Gen.map fst |> Arb.fromGen

/// The CSR or COO buffers of a pattern, of which one entry may be wrong.
let buffers (ofPattern: Connectivity -> int[] * int[]) =
    gen {
        let! c = Arb.toGen pattern
        let first, second = ofPattern c
        let! target = Gen.elements [ [||]; first; second ]
        let! place = Gen.choose (0, max 0 (target.Length - 1))
        let! wrong = Gen.choose (-1, 10)

        if target.Length > 0 then
            target[place] <- wrong

        return c.Rows, c.Cols, first, second
    }
    |> Arb.fromGen

let csr = buffers (fun c -> c.RowPtr.ToArray(), c.ColIdx.ToArray())
let coo = buffers (fun c -> Connectivity.rowIndices c, c.ColIdx.ToArray())

let bitsOf (seed: int) (index: int) =
    Seed.ofInt seed |> Seed.bitsAt (int64 index)

/// A small count and any number.
let countAndNumber =
    Gen.zip (Gen.choose (0, 10)) (Gen.choose (0, 1000)) |> Arb.fromGen

let patternAnd (other: Arbitrary<'a>) =
    Gen.zip (Arb.toGen pattern) (Arb.toGen other) |> Arb.fromGen

let shapesAndTenths =
    let shape = Gen.zip (Gen.choose (0, 20)) (Gen.choose (0, 20))

    Gen.zip3 (Gen.arrayOf shape) (Gen.choose (0, 9)) (Gen.choose (0, 1000))
    |> Arb.fromGen

let layerArguments =
    gen {
        let! hasBias = Gen.elements [ false; true ]
        let! tenths = Gen.choose (0, 9)
        let! number = Gen.choose (0, 1000)
        let! init = Gen.elements (Enum.GetValues<Initialization>())
        let! dtype = Gen.elements [ torch.ScalarType.Float32; torch.ScalarType.Float64 ]
        return hasBias, tenths, number, init, dtype
    }
    |> Arb.fromGen

/// What became of a call: its result, or the exception that it threw.
let outcome (call: unit -> 'a) =
    try
        Ok(call ())
    with :? ArgumentException as e ->
        Error(e.GetType(), e.ParamName, e.Message)

/// .NET's Try pattern as a result; of the two values exactly the one that is said is there.
let ofTry (ok: bool, c: Connectivity | null, e: ConnectivityError | null) =
    match c, e with
    | null, null -> failtest "expected one of the two, got none"
    | null, e when not ok -> Error e
    | c, null when ok -> Ok c
    | _ -> failtest $"expected the other of the two, got {c} and {e}"

let floats (t: torch.Tensor) =
    t.shape, t.flatten().data<float32>().ToArray()

let tensorOf (seed: int) (shape: int list) =
    let numbers =
        Array.init (List.fold (*) 1 shape) (fun i -> float32 (bitsOf seed i >>> 40))

    torch.tensor(numbers).reshape [| for size in shape -> int64 size |]

[<Tests>]
let building =
    testList
        "Facade building"
        [ law "CSR buffers are taken and refused as by the core" csr (fun (rows, cols, rowPtr, colIdx) ->
              Expect.equal
                  (ofTry (Connectivities.TryCreate(rows, cols, rowPtr, colIdx)))
                  (Connectivity.tryCreate rows cols rowPtr colIdx)
                  "TryCreate"

              Expect.equal
                  (outcome (fun () -> Connectivities.Create(rows, cols, rowPtr, colIdx)))
                  (outcome (fun () -> Connectivity.create rows cols rowPtr colIdx))
                  "Create")

          law "pairs are taken and refused as by the core" coo (fun (rows, cols, rowIdx, colIdx) ->
              Expect.equal
                  (ofTry (Connectivities.TryFromPairs(rows, cols, rowIdx, colIdx)))
                  (Connectivity.tryOfPairs rows cols rowIdx colIdx)
                  "TryFromPairs"

              Expect.equal
                  (outcome (fun () -> Connectivities.FromPairs(rows, cols, rowIdx, colIdx)))
                  (outcome (fun () -> Connectivity.ofPairs rows cols rowIdx colIdx))
                  "FromPairs")

          law "a (2, nnz) tensor is taken as its pairs are, and refused where they are" coo (fun spec ->
              let rows, cols, rowIdx, colIdx = spec
              let pairs = array2D [ rowIdx; colIdx ]

              for dtype in [ torch.ScalarType.Int64; torch.ScalarType.Int32 ] do
                  use indices = torch.tensor(pairs).to_type dtype
                  // Laid out column by column: the same tensor, not contiguous.
                  use turned = indices.t().contiguous().t()

                  for tensor in [ indices; turned ] do
                      match Connectivity.tryOfPairs rows cols rowIdx colIdx with
                      | Ok c -> Expect.equal (ConnectivityTensors.FromIndices(rows, cols, tensor)) c "pattern"
                      | Error _ ->
                          let refused =
                              outcome (fun () -> ConnectivityTensors.FromIndices(rows, cols, tensor))

                          Expect.isError refused "refused")

          law "masks, empty and full patterns are the core's" pattern (fun c ->
              Expect.equal (Connectivities.FromMask(Connectivity.toMask c)) c "FromMask"
              Expect.equal (Connectivities.Empty(c.Rows, c.Cols)) (Connectivity.empty c.Rows c.Cols) "Empty"
              Expect.equal (Connectivities.Full(c.Rows, c.Cols)) (Connectivity.full c.Rows c.Cols) "Full")

          law "the largest magnitudes are the core's" (patternAnd countAndNumber) (fun (c, (part, seed)) ->
              let weight =
                  Array2D.init c.Rows c.Cols (fun r k -> float32 (bitsOf seed (r * c.Cols + k) % 7UL) - 3.0f)

              let nnz = part * weight.Length / 10

              Expect.equal
                  (Connectivities.FromMagnitude(nnz, weight))
                  (Connectivity.ofMagnitude nnz weight)
                  "FromMagnitude")

          testCase "the buffers that the laws draw are some right, some wrong" (fun () ->
              for arb, build in [ csr, Connectivity.tryCreate; coo, Connectivity.tryOfPairs ] do
                  let isRight (rows, cols, first, second) = (build rows cols first second).IsOk
                  let right, wrong = arb |> Arb.toGen |> Gen.sample 200 |> Array.partition isRight
                  Expect.isGreaterThan (min right.Length wrong.Length) 20 "not vacuous") ]

[<Tests>]
let readingAndAlgebra =
    testList
        "Facade reading and algebra"
        [ law "a pattern reads as in the core" pattern (fun c ->
              Expect.equal (c.FanIn()) (Connectivity.fanIn c) "FanIn"
              Expect.equal (c.FanOut()) (Connectivity.fanOut c) "FanOut"
              Expect.equal (c.RowIndices()) (Connectivity.rowIndices c) "RowIndices"
              Expect.equal (c.ToMask()) (Connectivity.toMask c) "ToMask"
              let transposed = c.Transpose()
              let struct (t, from) = transposed
              Expect.equal (t, from) (Connectivity.transpose c) "Transpose"

              for row in 0 .. c.Rows - 1 do
                  for col in 0 .. c.Cols - 1 do
                      let found, slot = c.TryFindSlot(row, col)
                      let expected = Connectivity.tryFindSlot row col c
                      Expect.equal (found, slot) (expected.IsSome, Option.defaultValue 0 expected) "TryFindSlot")

          law "two patterns combine as in the core" twoPatterns (fun (a, b) ->
              Expect.equal (a.Union b) (Connectivity.union a b) "Union"
              Expect.equal (a.Intersect b) (Connectivity.intersect a b) "Intersect"
              Expect.equal (a.Difference b) (Connectivity.difference a b) "Difference"
              Expect.equal (a.Diff b) (Connectivity.diff a b) "Diff"
              Expect.equal (a.IsSubsetOf b) (Connectivity.isSubset a b) "IsSubsetOf"
              Expect.isTrue ((a.Intersect b).IsSubsetOf a) "IsSubsetOf") ]

[<Tests>]
let pureValues =
    testList
        "Facade seeds, sparsities and topologies"
        [ testProperty "seeds are the core's" (fun (number: int) (wide: int64) (index: uint16) ->
              let seed = Seeds.FromInt number
              let index = int index
              Expect.equal seed (Seed.ofInt number) "FromInt"
              Expect.equal (Seeds.FromInt64 wide) (Seed.ofInt64 wide) "FromInt64"
              let state, gamma = uint64 wide, uint64 number ||| 1UL
              Expect.equal (Seeds.FromWords(state, gamma)) (Seed.ofWords state gamma) "FromWords"
              Expect.equal (seed.Child index) (Seed.child index seed) "Child"
              Expect.equal (seed.BitsAt(int64 index)) (Seed.bitsAt (int64 index) seed) "BitsAt"
              let children = seed.Split()
              let struct (first, second) = children
              Expect.equal (first, second) (Seed.split seed) "Split")

          law "counts and random patterns are the core's" shapesAndTenths (fun (shapes, tenths, number) ->
              let sparsity = float tenths / 10.0

              for rows, cols in shapes do
                  let nnz = Sparsity.nnz rows cols sparsity
                  Expect.equal (Sparsities.ToNnz(rows, cols, sparsity)) nnz "ToNnz"
                  Expect.equal (Sparsities.FromNnz(rows, cols, nnz)) (Sparsity.ofNnz rows cols nnz) "FromNnz"
                  let seed = Seed.ofInt number

                  Expect.equal
                      (Topologies.Uniform(rows, cols, nnz, seed))
                      (Topology.uniform rows cols nnz seed)
                      "Uniform") ]

[<Tests>]
let functions =
    testList
        "Facade functions"
        [ law "each function answers as the core's" (patternAnd countAndNumber) (fun (c, (n, seed)) ->
              use _ = torch.NewDisposeScope()
              let values = tensorOf seed [ c.Nnz ]
              let bias = tensorOf (seed + 1) [ c.Rows ]
              let x = tensorOf (seed + 2) [ n; c.Cols ]
              let g = tensorOf (seed + 3) [ n; c.Rows ]

              let same (name: string) (actual: torch.Tensor) (expected: torch.Tensor) =
                  Expect.equal (floats actual) (floats expected) name

              same "linear" (sparsenn.functional.linear (c, values, x, bias)) (SparseOps.linear c values bias x)
              same "no bias" (sparsenn.functional.linear (c, values, x)) (SparseOps.linear c values null x)
              same "spmm" (sparsenn.functional.spmm (c, values, x)) (SparseOps.spmm c values x)
              same "spmmT" (sparsenn.functional.spmmT (c, values, g)) (SparseOps.spmmT c values g)
              same "sddmm" (sparsenn.functional.sddmm (c, g, x)) (SparseOps.sddmm c g x)
              same "toDense" (sparsenn.functional.toDense (c, values)) (SparseOps.toDense c values)) ]

/// What C# calls null.
let absent: Connectivity = Unchecked.defaultof<Connectivity>

/// What a layer is: its pattern, its weights and bias, where and of what they are.
let layerOf (make: unit -> SparseLinear) =
    use _ = torch.NewDisposeScope()
    torch.manual_seed 5L |> ignore
    use layer = make ()

    let inFloat32 (t: torch.Tensor) =
        floats (t.detach().to_type torch.ScalarType.Float32)

    let bias = layer.bias |> Option.ofObj |> Option.map inFloat32
    layer.Connectivity, inFloat32 layer.weight, bias, layer.weight.dtype, string layer.weight.device

let initOf (init: Initialization) =
    match init with
    | Initialization.FanIn -> Init.FanIn
    | Initialization.DenseFanIn -> Init.DenseFanIn
    | Initialization.KaimingUniform -> Init.KaimingUniform
    | Initialization.KaimingNormal -> Init.KaimingNormal
    | Initialization.XavierUniform -> Init.XavierUniform
    | Initialization.XavierNormal -> Init.XavierNormal
    | _ -> Init.Zeros

// Every layer draws from torch's one generator.
[<Tests>]
let layers =
    testSequenced
    <| testList
        "Facade layers"
        [ testCase "the defaults are the core's" (fun () ->
              let drawn = layerOf (fun () -> new SparseLinear(20, 30))
              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear(20L, 30L))) drawn "sizes"
              Expect.equal (layerOf (fun () -> FromSparseLinear.SparseLinear(20, 30))) drawn "in SparseLinear's words"

              let uniform =
                  Func<_, _, _, _, _>(fun rows cols nnz seed -> Topology.uniform rows cols nnz seed)

              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear(20L, 30L, uniform))) drawn "a topology"
              let expected = layerOf (fun () -> new SparseLinear(20, 30, seed = Seed.ofInt 0))
              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear(20L, 30L, seed = 0L))) expected "a number"
              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear(20L, 30L, Seeds.FromInt 0))) expected "a seed"

              let c = Topology.uniform 30 20 60 (Seed.ofInt 0)
              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear c)) expected "a pattern"
              Expect.equal (layerOf (fun () -> sparsenn.SparseLinear(20L, 30L, connectivity = c))) expected "all")

          law "every argument reaches the core" layerArguments (fun (hasBias, tenths, number, init, dtype) ->
              let sparsity = float tenths / 10.0
              let seed = Seed.ofInt number
              let nullable = Nullable dtype

              let expected =
                  layerOf (fun () -> new SparseLinear(7, 9, sparsity, seed, hasBias, initOf init, torch.CPU, dtype))

              let c, _, _, _, _ = expected

              let same (name: string) (make: unit -> SparseLinear) =
                  Expect.equal (layerOf make) expected name

              same "a pattern" (fun () -> sparsenn.SparseLinear(c, hasBias, init, torch.CPU, nullable))

              same "a seed" (fun () ->
                  sparsenn.SparseLinear(7L, 9L, seed, hasBias, sparsity, init, torch.CPU, nullable))

              let uniform =
                  Func<_, _, _, _, _>(fun rows cols nnz seed -> Topology.uniform rows cols nnz seed)

              same "a topology" (fun () ->
                  sparsenn.SparseLinear(7L, 9L, uniform, sparsity, seed, hasBias, init, torch.CPU, nullable))

              same "SparseLinear's words" (fun () ->
                  FromSparseLinear.SparseLinear(
                      7,
                      9,
                      hasBias,
                      sparsity,
                      seed = seed,
                      init = initOf init,
                      device = torch.CPU,
                      dtype = dtype
                  ))

              same "a pattern and its sizes" (fun () ->
                  sparsenn.SparseLinear(7L, 9L, hasBias, sparsity, c, -1L, init, torch.CPU, nullable))

              same "a number" (fun () ->
                  sparsenn.SparseLinear(7L, 9L, hasBias, sparsity, absent, int64 number, init, torch.CPU, nullable)))

          testCase "a device reaches the core" (fun () ->
              use layer = sparsenn.SparseLinear(3L, 4L, device = torch.META)
              Expect.equal layer.weight.device_type DeviceType.META "device") ]

// ---------------------------------------------------------------------------------------------------------
// Bad input
// ---------------------------------------------------------------------------------------------------------

let refuses<'e when 'e :> ArgumentException> (name: string) (argument: string) (message: string) (call: unit -> obj) =
    testCase $"{name} is refused" (fun () ->
        match outcome call with
        | Ok _ -> failtest "nothing was thrown"
        | Error(kind, paramName, text) ->
            Expect.equal kind typeof<'e> "the type"
            Expect.equal paramName argument "the argument"
            Expect.stringContains text message "what was expected and what came")

let indices (pairs: int64[,]) = torch.tensor pairs
let square = Connectivity.full 2 2

[<Tests>]
let badInput =
    testList
        "Facade bad input"
        [ refuses<ArgumentException> "a repeated column" "colIdx" "got (0, 1) twice" (fun () ->
              Connectivities.Create(1, 3, [| 0; 2 |], [| 1; 1 |]))
          refuses<ArgumentException> "a repeated pair" "colIdx" "got (0, 1) twice" (fun () ->
              Connectivities.FromPairs(1, 3, [| 0; 0 |], [| 1; 1 |]))
          refuses<ArgumentNullException> "no buffer" "rowPtr" "" (fun () ->
              Connectivities.Create(1, 3, Unchecked.defaultof<_>, [||]))
          refuses<ArgumentNullException> "no mask" "mask" "" (fun () -> Connectivities.FromMask Unchecked.defaultof<_>)
          refuses<ArgumentOutOfRangeException> "a negative size" "rows" "got -1" (fun () -> Connectivities.Empty(-1, 3))

          refuses<ArgumentNullException> "no indices" "indices" "" (fun () ->
              ConnectivityTensors.FromIndices(2, 2, Unchecked.defaultof<_>))
          refuses<ArgumentException> "indices of one dimension" "indices" "expected shape [2, nnz], got [4]" (fun () ->
              ConnectivityTensors.FromIndices(2, 2, torch.zeros (4L, torch.ScalarType.Int64)))
          refuses<ArgumentException> "turned indices" "indices" "expected shape [2, nnz], got [5, 2]" (fun () ->
              ConnectivityTensors.FromIndices(2, 2, torch.zeros (5L, 2L, torch.ScalarType.Int64)))
          refuses<ArgumentException> "float indices" "indices" "expected Int64 or Int32, got Float32" (fun () ->
              ConnectivityTensors.FromIndices(2, 2, torch.zeros (2L, 1L)))
          refuses<ArgumentException> "a repeated index pair" "indices" "got (1, 0) twice" (fun () ->
              ConnectivityTensors.FromIndices(2, 2, indices (array2D [ [ 1L; 1L ]; [ 0L; 0L ] ])))
          refuses<ArgumentException> "a column out of range" "indices" "expected 0..1, got column 2 in row 1" (fun () ->
              ConnectivityTensors.FromIndices(2, 2, indices (array2D [ [ 1L ]; [ 2L ] ])))
          refuses<ArgumentException> "an index beyond 32 bits" "indices" "got 4294967296" (fun () ->
              ConnectivityTensors.FromIndices(2, 2, indices (array2D [ [ 0L ]; [ 1L <<< 32 ] ])))
          refuses<ArgumentException> "a negative size for indices" "cols" "got [2, -2]" (fun () ->
              ConnectivityTensors.FromIndices(2, -2, indices (array2D [ [ 0L ]; [ 1L ] ])))

          refuses<ArgumentNullException> "reading nothing" "connectivity" "" (fun () -> absent.FanIn())
          refuses<ArgumentNullException> "finding in nothing" "connectivity" "" (fun () -> absent.TryFindSlot(0, 0))
          refuses<ArgumentNullException> "combining with nothing" "b" "" (fun () -> square.Union absent)
          refuses<ArgumentOutOfRangeException> "a cell outside" "col" "expected 0..1, got 2" (fun () ->
              square.TryFindSlot(0, 2))
          refuses<ArgumentException> "another shape" "b" "expected shape [2, 2], got [2, 3]" (fun () ->
              square.Union(Connectivity.full 2 3))
          refuses<ArgumentNullException> "no shapes" "shapes" "" (fun () ->
              SparsityDistributions.Counts(SparsityDistribution.Uniform, 0.5, Unchecked.defaultof<_>))
          refuses<ArgumentNullException> "measuring nothing" "connectivity" "" (fun () -> absent.Clustering())
          refuses<ArgumentNullException> "no weights" "weights" "" (fun () ->
              Connectivities.FromMagnitudes(0L, Unchecked.defaultof<_>))
          refuses<ArgumentOutOfRangeException> "a sparsity of 1" "sparsity" "in [0, 1), got 1" (fun () ->
              Sparsities.ToNnz(3, 3, 1.0))
          refuses<ArgumentOutOfRangeException> "too many slots" "nnz" "expected 0..9 slots" (fun () ->
              Topologies.Uniform(3, 3, 10, Seed.ofInt 0))

          refuses<ArgumentOutOfRangeException> "a negative input size" "inFeatures" "got -1" (fun () ->
              sparsenn.SparseLinear(-1L, 3L))
          refuses<ArgumentOutOfRangeException> "a huge output size" "outFeatures" "got 2147483648" (fun () ->
              sparsenn.SparseLinear(3L, 1L <<< 31))
          refuses<ArgumentOutOfRangeException> "a layer's sparsity" "sparsity" "in [0, 1), got -0.1" (fun () ->
              sparsenn.SparseLinear(3L, 3L, sparsity = -0.1))
          refuses<ArgumentException>
              "a pattern of another shape"
              "connectivity"
              "expected shape [outFeatures, inFeatures] = [3, 2], got [2, 2]"
              (fun () -> sparsenn.SparseLinear(2L, 3L, connectivity = square))
          refuses<ArgumentNullException> "no pattern" "connectivity" "" (fun () -> sparsenn.SparseLinear absent)
          refuses<ArgumentException> "an integer dtype" "dtype" "got Int32" (fun () ->
              sparsenn.SparseLinear(2L, 3L, dtype = torch.ScalarType.Int32))
          refuses<InvalidEnumArgumentException> "no such initialization" "init" "7" (fun () ->
              sparsenn.SparseLinear(2L, 3L, init = enum<Initialization> 7))
          refuses<ArgumentException> "values of another length" "values" "expected shape [4], got [3]" (fun () ->
              sparsenn.functional.spmm (square, torch.ones 3L, torch.ones (1L, 2L)))
          refuses<ArgumentException>
              "samples of another width"
              "x"
              "expected x of shape [*, cols] = [*, 2], got [1, 3]"
              (fun () -> sparsenn.functional.linear (square, torch.ones 4L, torch.ones (1L, 3L)))
          refuses<ArgumentNullException> "no samples" "x" "" (fun () ->
              sparsenn.functional.spmm (square, torch.ones 4L, Unchecked.defaultof<torch.Tensor>)) ]
