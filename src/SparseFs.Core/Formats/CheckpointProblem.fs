namespace SparseFs

/// <summary>What is wrong with a file, or with writing one.</summary>
type CheckpointProblem =
    /// <summary>There is no such file, or no such folder.</summary>
    | NotFound = 0
    /// <summary>The file may not be read or written, or is a folder.</summary>
    | Access = 1
    /// <summary>The disk or the memory fails, or is full.</summary>
    | Storage = 2
    /// <summary>The header is longer than the file or than 100 MB, no UTF-8, no JSON, or not that of the format.</summary>
    | Header = 3
    /// <summary>The tensors' bytes overlap, leave gaps, run backwards, or do not fill the file.</summary>
    | Layout = 4
    /// <summary>A dtype that is not known.</summary>
    | Dtype = 5
    /// <summary>A shape that is negative, too large, or not that of the bytes.</summary>
    | Shape = 6
    /// <summary>What should be a layer's pattern is none.</summary>
    | Pattern = 7
    /// <summary>A number or a text that stands for no state.</summary>
    | Value = 8
    /// <summary>The file is sound, but not for this model, optimizer or rewirer.</summary>
    | Mismatch = 9
