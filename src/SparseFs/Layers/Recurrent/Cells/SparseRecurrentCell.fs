namespace SparseFs

open System
open SparseFs.Torch
open TorchSharp

/// <summary>One step of a recurrent module.</summary>
/// <typeparam name="'State">What a call may begin with.</typeparam>
/// <typeparam name="'Result">What a call gives.</typeparam>
[<AbstractClass>]
type SparseRecurrentCell<'State, 'Result> internal (settings: RecurrentSettings, matrices: RecurrentMatrices list) =
    inherit SparseRecurrent<'State, 'Result>(settings, matrices)

    /// A step, of samples or of one.
    member internal this.Step
        (x: torch.Tensor, h: torch.Tensor | null, c: torch.Tensor | null)
        : struct (torch.Tensor * (torch.Tensor | null)) =
        ArgumentNullException.ThrowIfNull(x, nameof x)
        let shape = x.shape

        if
            (shape.Length <> 1 && shape.Length <> 2)
            || shape[shape.Length - 1] <> int64 settings.InputSize
        then
            let form = "[batch, input_size] or [input_size]"
            let got = $"with input_size {settings.InputSize}, got {Shape.text shape}"
            raise (ArgumentException($"expected x of shape {form} {got}. The layer is {this}", nameof x))

        use _ = torch.NewDisposeScope()

        let asStep (state: torch.Tensor | null) : torch.Tensor | null =
            match state with
            | null -> null
            | state -> state.unsqueeze 0L

        let struct (_, h, c) = this.Run(x.unsqueeze 0L, asStep h, asStep c, null)

        let cells: torch.Tensor | null =
            match c with
            | null -> null
            | c -> (c.squeeze 0L).MoveToOuterDisposeScope()

        struct ((h.squeeze 0L).MoveToOuterDisposeScope(), cells)
