namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// The optimizers of TorchSharp whose state is known: the one list of them.
module internal KnownOptimizers =

    let private all: KnownOptimizer list =
        [ KnownSgd.known
          KnownAdam.known
          KnownAdamW.known
          KnownRmsProp.known
          KnownAdagrad.known
          KnownAdadelta.known
          KnownAdamax.known
          KnownNAdam.known
          KnownRAdam.known
          KnownAsgd.known
          KnownRprop.known ]

    /// <summary>What is known of an optimizer, or of the one that its class derives from.</summary>
    /// <exception cref="T:System.ArgumentException">Nothing is; the message names it.</exception>
    let find (optimizer: torch.optim.Optimizer) : KnownOptimizer =
        match all |> List.tryFind _.Type.IsInstanceOfType(optimizer) with
        | Some known -> known
        | None ->
            let kinds = String.Join(", ", [ for known in all -> known.Kind ])

            let message =
                $"expected one of {kinds}, or an optimizer that implements IStatefulOptimizer, got "
                + $"{optimizer.GetType().Name}, whose state is not known"

            raise (ArgumentException(message, nameof optimizer))

    /// What files call an optimizer; one of a class that a user has derived from a known one, by that class's name. One with a step of
    /// ours keeps what TorchSharp's keeps, and is called as that is.
    let kindOf (known: KnownOptimizer) (optimizer: torch.optim.Optimizer) : string =
        if optimizer.GetType() = known.Type || box optimizer :? IFusedOptimizer then
            known.Kind
        else
            optimizer.GetType().Name
