namespace SparseFs

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// What a layer is to the rest of a model: whose fans grow with its width.
[<Struct>]
type internal LayerPlace =
    /// Inputs do not grow: an embedding, or a first layer.
    | First
    /// Inputs and outputs grow.
    | Hidden
    /// Outputs do not grow: a head.
    | Last

/// <summary>How initial weights and learning rates follow from the width of a model and the density of its layers.</summary>
[<AbstractClass; Sealed>]
type Scaling private () =

    static let isIn (modules: torch.nn.Module seq | null) : torch.nn.Module -> bool =
        match modules with
        | null -> fun _ -> false
        | modules ->
            let known =
                HashSet<torch.nn.Module>(modules, HashIdentity.Reference :> IEqualityComparer<_>)

            known.Contains

    /// The layers whose outputs are added to a residual stream.
    static let residualsOf (model: torch.nn.Module) : torch.nn.Module list =
        [ for m in model.modules () do
              match m with
              | :? SparseTransformerBlock as b ->
                  b.attn.out_proj
                  b.ff.linear2
              | :? SparseTransformerEncoderLayer as l ->
                  l.self_attn.out_proj
                  l.linear2
              | _ -> () ]

    /// Each parameter once, with its name, and with its layer and density where it is a weight that the scaling is about.
    static let parametersOf
        (model: torch.nn.Module)
        : struct (string * Parameter * struct (torch.nn.Module * float) voption) list =
        let ofHandle = Dictionary<nativeint, struct (torch.nn.Module * float)>()
        let ofName = Dictionary<string, struct (torch.nn.Module * float)>()

        for struct (name, m) in model.named_modules () do
            match m with
            | :? SparseLayer as l -> ofHandle[l.weight.Handle] <- struct (m, 1.0 - l.Connectivity.Sparsity)
            | :? Linear
            | :? Embedding ->
                // torch's modules give a handle anew each time.
                ofName[if name = "" then "weight" else name + ".weight"] <- struct (m, 1.0)
            | _ -> ()

        [ for struct (name, p) in model.named_parameters () do
              match ofHandle.TryGetValue p.Handle with
              | true, found -> struct (name, p, ValueSome found)
              | _ ->
                  match ofName.TryGetValue name with
                  | true, found -> struct (name, p, ValueSome found)
                  | _ -> struct (name, p, ValueNone) ]

    /// <summary>SμPar, the sparse maximal update parameterization, for AdamW: draws the weights of a model anew, and gives the parameter groups of an
    /// optimizer.</summary>
    /// <param name="model">A model whose layers' widths grow together. Of its weights it may have <c>SparseLinear</c> and other sparse layers, torch's Linear
    /// and Embedding; its heads keep their size where its width grows.</param>
    /// <param name="widthRatio">Its width, in parts of the width at which lr and std were found; above 0.</param>
    /// <param name="lr">Learning rate, found at width ratio 1 and density 1 (or baseDensity).</param>
    /// <param name="std">Standard deviation of initial weights, found there too; 0.02 by default.</param>
    /// <param name="baseDensity">The density at which these were found, in (0, 1]; 1 by default.</param>
    /// <param name="weightDecay">Decay at width ratio 1, of weights alone; 0 by default.</param>
    /// <param name="inputs">Layers whose inputs do not grow with the width, beside embeddings: the first layer of a perceptron; none by default.</param>
    /// <param name="outputs">Layers whose outputs do not grow: heads; none by default.</param>
    /// <param name="residuals">Layers whose outputs are added to a residual stream, beside those of SparseTransformerBlock and
    /// SparseTransformerEncoderLayer; none by default.</param>
    /// <returns>Groups for <c>SparseOptim.adamW</c> or TorchSharp's AdamW.</returns>
    /// <exception cref="T:System.ArgumentException">A number is outside its range, or the model has a matrix that belongs to no layer that is known.</exception>
    /// <exception cref="T:System.ArgumentNullException">model is null.</exception>
    /// <remarks>
    /// Dey, Bergsma and Hestness, NeurIPS 2024, arXiv 2405.15743, table 1. With m the width ratio and ρ the density over baseDensity: hidden weights begin with
    /// a standard deviation of std / √(m · ρ), those of n residual layers with that over √n; their rate is lr / (m · ρ), and their decay grows by m · ρ, so that rate times decay
    /// stays. A head's weights begin with std / (m · √ρ) at that rate, which under Adam is the same as a factor of 1 / m on its outputs. Embeddings and
    /// input layers keep std and lr, but for their density; biases and normalizations keep lr, and do not decay. For static, random patterns: rewiring moves
    /// weights to where they are not drawn, and nobody has shown that the rate holds then.
    /// </remarks>
    /// <example><code>
    /// // A rate that was found at 128 features, for a model of 512 at 90 %:
    /// let head = torch.nn.Linear(512L, 10L)
    /// let wide = torch.nn.Sequential(new SparseLinear(512, 512, sparsity = 0.9), torch.nn.ReLU(), head)
    /// let optimizer = SparseOptim.adamW (Scaling.suPar (wide, 512.0 / 128.0, lr = 4e-3, outputs = [ head ]))
    /// </code></example>
    static member suPar
        (
            model: torch.nn.Module,
            widthRatio: float,
            lr: float,
            [<Optional; DefaultParameterValue(0.02)>] std: float,
            [<Optional; DefaultParameterValue(1.0)>] baseDensity: float,
            [<Optional; DefaultParameterValue(0.0)>] weightDecay: float,
            [<Optional; DefaultParameterValue(null: torch.nn.Module seq | null)>] inputs: torch.nn.Module seq | null,
            [<Optional; DefaultParameterValue(null: torch.nn.Module seq | null)>] outputs: torch.nn.Module seq | null,
            [<Optional; DefaultParameterValue(null: torch.nn.Module seq | null)>] residuals: torch.nn.Module seq | null
        ) : AdamW.ParamGroup[] =
        ArgumentNullException.ThrowIfNull(model, nameof model)

        let check (name: string) (isRight: bool) (expected: string) (got: float) =
            if not isRight then
                raise (ArgumentException(Text.invariant $"expected {expected}, got {got}", name))

        let isPositive (x: float) = x > 0.0 && Double.IsFinite x
        check (nameof widthRatio) (isPositive widthRatio) "a finite ratio above 0" widthRatio
        check (nameof lr) (isPositive lr) "a finite rate above 0" lr
        check (nameof std) (isPositive std) "a finite standard deviation above 0" std
        check (nameof baseDensity) (baseDensity > 0.0 && baseDensity <= 1.0) "a density in (0, 1]" baseDensity

        check
            (nameof weightDecay)
            (weightDecay >= 0.0 && Double.IsFinite weightDecay)
            "a finite decay, 0 or more"
            weightDecay

        let isFirst, isLast = isIn inputs, isIn outputs

        let added =
            Seq.append
                (residualsOf model)
                (match residuals with
                 | null -> Seq.empty
                 | r -> r)
            |> Array.ofSeq

        let isAdded = isIn added
        let parameters = parametersOf model

        let others =
            [| for struct (name, p, found) in parameters do
                   if found.IsNone then
                       if p.dim () > 1L then
                           raise (
                               ArgumentException(
                                   $"expected matrices of SparseLinear and other sparse layers, Linear or Embedding, got {name} of shape %s{Shape.text p.shape}: nobody knows how it grows with the width. Make its groups by hand",
                                   nameof model
                               )
                           )

                       p |]

        use _ = torch.no_grad ()

        let scaled =
            [ for struct (m, weight, density) in
                  parameters
                  |> List.choose (fun (struct (_, p, found)) ->
                      match found with
                      | ValueSome(struct (m, density)) -> Some(struct (m, p, density))
                      | ValueNone -> None) do
                  let density = density / baseDensity

                  let place =
                      match m with
                      | :? Embedding -> First
                      | m when isFirst m -> First
                      | m when isLast m -> Last
                      | _ -> Hidden

                  let ofStd, ofRate =
                      match place with
                      | First -> sqrt density, density
                      | Hidden -> sqrt (widthRatio * density), widthRatio * density
                      | Last -> widthRatio * sqrt density, widthRatio * density

                  let ofStd =
                      if isAdded m then
                          ofStd * sqrt (float added.Length)
                      else
                          ofStd

                  weight.normal_ (0.0, std / ofStd) |> ignore
                  struct (ofRate, weight) ]

        let options (factor: float) (decay: float) =
            AdamW.Options(LearningRate = Nullable(lr / factor), weight_decay = Nullable(decay * factor))

        [| for factor, group in scaled |> List.groupBy (fun (struct (factor, _)) -> factor) do
               let parameters = [| for struct (_, weight) in group -> weight |]
               AdamW.ParamGroup(parameters, options factor weightDecay)

           if others.Length > 0 then
               AdamW.ParamGroup(others, options 1.0 0.0) |]
