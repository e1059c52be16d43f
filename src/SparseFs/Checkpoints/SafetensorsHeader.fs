namespace SparseFs

open System.Collections.Generic

/// <summary>What a safetensors file holds, without the tensors' numbers.</summary>
type SafetensorsHeader =
    {
        /// <summary>Its tensors, by their place in the file.</summary>
        Tensors: TensorInfo[]
        /// <summary>Its texts.</summary>
        Metadata: IReadOnlyDictionary<string, string>
    }

    /// One line a tensor, then one a text.
    override h.ToString() =
        String.concat
            "\n"
            [ for tensor in h.Tensors do
                  tensor.ToString()
              for text in h.Metadata do
                  $"{text.Key} = {text.Value}" ]
