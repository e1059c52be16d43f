namespace Digits

open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>How the sparse network is rewired while it trains.</summary>
type Dynamics =
    {
        /// One of <c>Dynamics.policies</c>.
        Name: string
        /// Optimizer steps from one update to the next.
        DeltaT: int64
        /// The part of the slots that the first update rewires.
        Alpha: float
    }

/// <summary>What rewiring did in a training.</summary>
type Rewiring =
    {
        /// The part of the slots that an update moved, in the mean.
        Churn: float
        /// The part of all cells that have ever been slots: R_s.
        Explored: float
    }

[<RequireQualifiedAccess>]
module Dynamics =

    /// Gradual pruning starts with this part of the weights absent, or none if it is to end before that.
    let private denser (sparsity: float) = if sparsity > 0.5 then 0.5 else 0.0

    /// The policies that the demo knows, by name; each is made for the sparsity in the end and a schedule.
    let policies: (string * (float -> Schedule -> Policy)) list =
        [ "rigl", (fun _ -> Policy.rigL)
          "set", (fun _ -> Policy.set)
          "snfs", (fun _ -> Policy.snfs)
          "srigl", (fun _ -> Policy.srigL ValueNone)
          "gmp", (fun sparsity -> Policy.gradual (denser sparsity) sparsity) ]

    /// The sparsity that the network starts with.
    let startOf (dynamics: Dynamics option) (sparsity: float) : float =
        match dynamics with
        | Some d when d.Name = "gmp" -> denser sparsity
        | _ -> sparsity

    /// A whole number of periods, so that the last update is at the end: gradual pruning arrives there.
    let private periods (d: Dynamics) (steps: int64) = max 1L (3L * steps / 4L / d.DeltaT)

    /// <summary>How many updates there are in a training.</summary>
    /// <param name="d">The policy and its numbers.</param>
    /// <param name="steps">Optimizer steps of the whole training.</param>
    let updates (d: Dynamics) (steps: int64) : int64 =
        min (periods d steps) (steps / d.DeltaT)

    /// <summary>A rewirer that is done after three quarters of the steps.</summary>
    /// <param name="d">The policy and its numbers.</param>
    /// <param name="sparsity">The sparsity in the end.</param>
    /// <param name="steps">Optimizer steps of the whole training.</param>
    /// <param name="seed">What random rules draw from.</param>
    /// <param name="network">The sparse network.</param>
    /// <param name="optimizer">Its optimizer.</param>
    let rewirer (d: Dynamics) sparsity (steps: int64) (seed: Seed) (network: Sequential) optimizer : Rewirer =
        let _, make = policies |> List.find (fun (name, _) -> name = d.Name)
        let schedule = Schedule.cosine d.Alpha d.DeltaT (periods d steps * d.DeltaT)
        new Rewirer(network, optimizer, make sparsity schedule, seed)

    /// What all updates did together, by the cells of the layers.
    let summary (network: Sequential) (events: RewireEvent list) : Rewiring =
        let cells =
            Map.ofList
                [ for struct (name, layer) in network.named_modules () do
                      match layer with
                      | :? SparseLayer as layer -> name, float layer.Connectivity.Cells
                      | _ -> () ]

        let updates =
            [ for e in events do
                  match e.Outcome with
                  | RewireOutcome.Done counts -> e, counts
                  | RewireOutcome.Refused _ -> () ]

        let counts = updates |> List.map snd

        let last =
            updates
            |> List.groupBy (fun (e, _) -> e.Layer)
            |> List.map (snd >> List.maxBy (fun (e, _) -> e.Step))

        { Churn =
            float (counts |> List.sumBy _.Grown)
            / float (max 1 (counts |> List.sumBy _.Nnz))
          Explored =
            (last |> List.sumBy (fun (e, counts) -> counts.Explored * cells[e.Layer]))
            / (last |> List.sumBy (fun (e, _) -> cells[e.Layer])) }
