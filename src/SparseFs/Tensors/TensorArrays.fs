namespace SparseFs.Torch

open TorchSharp

/// <summary>The numbers of a tensor as an array.</summary>
module internal TensorArrays =

    /// <summary>A copy in C order, in the dtype asked for, of a tensor on any device.</summary>
    /// <remarks>Flat, because TorchSharp cannot read a tensor [3, 0].</remarks>
    let copy<'T when 'T: unmanaged and 'T: (new: unit -> 'T) and 'T: struct and 'T :> System.ValueType>
        (dtype: torch.ScalarType)
        (t: torch.Tensor)
        : 'T[] =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        if t.numel () = 0L then
            [||]
        else
            t.detach().to_type(dtype).cpu().contiguous().flatten().data<'T>().ToArray()
