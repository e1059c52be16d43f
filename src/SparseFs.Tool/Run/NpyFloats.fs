namespace SparseFs.Tool

open System
open System.Collections.Generic
open SparseFs

/// <summary>Arrays of any numbers as samples of float32.</summary>
module internal NpyFloats =

    /// The numbers, and the dtype that they came in, by NumPy's name.
    let private convert (data: Array) : struct (float32[] * string) =
        match data with
        | :? (float[]) as numbers -> struct (Array.map float32 numbers, "float64")
        | :? (Half[]) as numbers -> struct (Array.map float32 numbers, "float16")
        | :? (bool[]) as numbers -> struct (numbers |> Array.map (fun isSet -> if isSet then 1.0f else 0.0f), "bool")
        | _ ->
            // A cast of arrays takes uint32[] for int[]: the type of the elements decides.
            match data.GetType().GetElementType() with
            | t when t = typeof<float32> -> struct ((data :?> float32[]), "float32")
            | t when t = typeof<sbyte> -> struct (Array.map float32 (data :?> sbyte[]), "int8")
            | t when t = typeof<byte> -> struct (Array.map float32 (data :?> byte[]), "uint8")
            | t when t = typeof<int16> -> struct (Array.map float32 (data :?> int16[]), "int16")
            | t when t = typeof<uint16> -> struct (Array.map float32 (data :?> uint16[]), "uint16")
            | t when t = typeof<int> -> struct (Array.map float32 (data :?> int[]), "int32")
            | t when t = typeof<uint32> -> struct (Array.map float32 (data :?> uint32[]), "uint32")
            | t when t = typeof<int64> -> struct (Array.map float32 (data :?> int64[]), "int64")
            | _ -> struct (Array.map float32 (data :?> uint64[]), "uint64")

    /// <summary>The numbers of an array of samples, and the dtype that they were converted from: empty for float32.</summary>
    /// <param name="name">What errors call it.</param>
    /// <param name="sample">The shape of a sample.</param>
    /// <param name="array">[n, ...].</param>
    /// <exception cref="T:SparseFs.Tool.Refusal">It has another shape.</exception>
    let samples (name: string) (sample: IReadOnlyList<int>) (array: NpyArray) : struct (float32[] * string) =
        let shape = array.Shape

        if
            shape.Length = 0
            || not (Seq.forall2 (=) shape[1..] sample && shape.Length = sample.Count + 1)
        then
            let expected = String.Join(", ", "n" :: [ for size in sample -> string size ])

            let cure =
                if shape.Length = sample.Count && Seq.forall2 (=) shape sample then
                    ", one sample without the dimension of samples: in NumPy x[None]"
                else
                    ""

            Refusal.because (invariant $"{name}: expected shape [{expected}], got {Shape.text shape}{cure}")

        let struct (numbers, dtype) = convert array.Data
        struct (numbers, (if dtype = "float32" then "" else dtype))
