namespace SparseFs

open System
open System.Globalization
open SparseFs.Torch
open TorchSharp
open TorchSharp.Modules

/// <summary>What became of one layer.</summary>
type SparsifyRow =
    {
        /// <summary>The layer's dotted name in the model, or the matrix's of a module that has several, as an LSTM.</summary>
        Name: string
        /// <summary>out_features.</summary>
        Rows: int
        /// <summary>in_features.</summary>
        Cols: int
        /// <summary>The sparse layer's slots, before or after the conversion; all cells where the layer stays dense.</summary>
        Nnz: int64
        /// <summary>Whether the layer was replaced.</summary>
        IsReplaced: bool
        /// <summary>Why it was not; empty where it was.</summary>
        WhyNot: string
        /// <summary>Median time of the dense layer's forward and backward in milliseconds, or none.</summary>
        DenseMs: Nullable<float>
        /// <summary>Median time of the sparse layer's forward and backward in milliseconds, or none.</summary>
        SparseMs: Nullable<float>
    }

    /// <summary>rows · cols.</summary>
    member r.Cells: int64 = int64 r.Rows * int64 r.Cols

    /// <summary>Whether the layer was replaced and its sparse form has no weight at all: the outputs of that are its
    /// bias.</summary>
    /// <example><code>
    /// let report = Sparsify.model (Sparsify.globally 0.9) dense
    /// report.Rows |> Array.exists _.IsEmpty // = false
    /// </code></example>
    member r.IsEmpty: bool = r.IsReplaced && r.Nnz = 0L && r.Cells > 0L

    /// <summary>1 − nnz / cells; 1 where there is no cell.</summary>
    member r.Sparsity: float = SparseFs.Sparsity.ofCount r.Nnz r.Cells

    override r.ToString() =
        let name = if r.Name = "" then "(the model)" else r.Name

        let outcome =
            if r.IsReplaced then
                "replaced"
            else
                $"not replaced: {r.WhyNot}"

        let sparsity = r.Sparsity.ToString("0.####", CultureInfo.InvariantCulture)
        $"{name}: {r.Rows} x {r.Cols}, nnz {r.Nnz}, sparsity {sparsity}, {outcome}"

[<RequireQualifiedAccess>]
module internal SparsifyRow =

    /// What makes a sparse one of a module of torch's whose matrices are no layers of their own.
    let private makerOf (m: torch.nn.Module) : string voption =
        match m with
        | :? LSTM -> ValueSome "SparseLSTM.ofDense makes a sparse one"
        | :? GRU -> ValueSome "SparseGRU.ofDense makes a sparse one"
        | :? RNN -> ValueSome "SparseRNN.ofDense makes a sparse one"
        | :? LSTMCell -> ValueSome "make a SparseLSTMCell"
        | :? GRUCell -> ValueSome "make a SparseGRUCell"
        | :? MultiheadAttention -> ValueSome "SparseMultiheadAttention.ofDense makes a sparse one"
        | :? TransformerEncoderLayer -> ValueSome "SparseTransformerEncoderLayer.ofDense makes a sparse one"
        | :? TransformerEncoder ->
            ValueSome "make SparseTransformerEncoderLayers, and load its state with Checkpoint.loadFrom"
        | _ -> ValueNone

    /// A row for each matrix of such modules, which stays as it is.
    let ofMatrices (model: torch.nn.Module) : SparsifyRow[] =
        [| for struct (name, m) in ModuleTree.all model do
               match makerOf m with
               | ValueNone -> ()
               | ValueSome maker ->
                   for struct (own, p) in m.named_parameters () do
                       if p.dim () = 2L then
                           let shape = p.shape

                           { Name = if name = "" then own else name + "." + own
                             Rows = int shape[0]
                             Cols = int shape[1]
                             Nnz = shape[0] * shape[1]
                             IsReplaced = false
                             WhyNot =
                               $"torch's module does not tell all that its twin has to know; {maker}, Sparsify.twins puts it in place"
                             DenseMs = Nullable()
                             SparseMs = Nullable() } |]
