namespace SparseFs.Torch

open SparseFs
open TorchSharp
open TorchSharp.Modules

/// <summary>The young slots of a weight, as tensors of one number each: for any dtype and device. All tensors belong to the
/// open DisposeScope.</summary>
/// <remarks>Numbers are float64 for a float64 weight, else float32.</remarks>
[<Sealed>]
type internal YoungSlots(ages: Ages, p: Parameter) =
    let struct (index, cohort) = ages.Tensors p.device

    let wide =
        if p.dtype = torch.ScalarType.Float64 then
            torch.ScalarType.Float64
        else
            torch.ScalarType.Float32

    /// The numbers that young slots have in a tensor of all slots.
    member _.Of(t: torch.Tensor) : torch.Tensor = t.index_select(0L, index).to_type wide

    /// Puts numbers of young slots into a tensor of all slots; the other slots keep theirs.
    member _.Put(t: torch.Tensor, numbers: torch.Tensor) : unit =
        t.index_copy_ (0L, index, numbers.to_type t.dtype) |> ignore

    /// The age of each cohort.
    member _.Ages: int64[] = ages.OfCohorts

    /// A number for each young slot, from one for each cohort.
    member _.Numbers(ofCohorts: float[]) : torch.Tensor =
        torch.tensor(ofCohorts, device = p.device).to_type(wide).index_select(0L, cohort)

    /// The gradient that the optimizer makes its moments of: sign · .grad + decay · weight.
    member y.Gradient(grad: torch.Tensor, sign: float, decay: float) : torch.Tensor =
        let g = y.Of grad
        let g = if sign < 0.0 then g.neg () else g

        if decay = 0.0 then
            g
        else
            g.add (y.Of p, alpha = Scalars.Of decay)
