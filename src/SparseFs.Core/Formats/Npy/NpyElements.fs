namespace SparseFs

open System
open System.Runtime.InteropServices

/// <summary>One of the kinds of numbers that .npy files hold here.</summary>
type internal NpyElement =
    {
        /// NumPy's letters for it, without the order of bytes: f4, i8, b1.
        Code: string
        /// In bytes.
        Size: int
        Type: Type
        Make: int -> Array
        /// From Fortran order, the first index running fastest, to C order.
        ToC: int[] -> Array -> Array
    }

module internal NpyElements =

    let private toC (shape: int[]) (numbers: 'T[]) : 'T[] =
        if shape.Length < 2 || numbers.Length = 0 then
            numbers
        else
            let strides = Array.scan (*) 1 shape // of each index in Fortran order
            let index: int[] = Array.zeroCreate shape.Length
            let ordered: 'T[] = Array.zeroCreate numbers.Length
            let mutable source = 0

            for target in 0 .. numbers.Length - 1 do
                ordered[target] <- numbers[source]
                let mutable axis = shape.Length - 1
                let mutable isCarried = true

                // The next index in C order.
                while isCarried && axis >= 0 do
                    index[axis] <- index[axis] + 1
                    source <- source + strides[axis]

                    if index[axis] = shape[axis] then
                        source <- source - shape[axis] * strides[axis]
                        index[axis] <- 0
                        axis <- axis - 1
                    else
                        isCarried <- false

            ordered

    let private element<'T> (code: string) : NpyElement =
        { Code = code
          Size = int code[1] - int '0'
          Type = typeof<'T>
          Make = fun count -> (Array.zeroCreate count: 'T[])
          ToC = fun shape numbers -> toC shape (numbers :?> 'T[]) }

    let all: NpyElement list =
        [ element<float32> "f4"
          element<float> "f8"
          element<Half> "f2"
          element<sbyte> "i1"
          element<int16> "i2"
          element<int> "i4"
          element<int64> "i8"
          element<byte> "u1"
          element<uint16> "u2"
          element<uint32> "u4"
          element<uint64> "u8"
          element<bool> "b1" ]

    /// The kind of an array's numbers; by its element type, since a cast of arrays takes uint32[] for int[].
    let tryOfArray (data: Array) : NpyElement voption =
        match data.GetType().GetElementType() with
        | null -> ValueNone
        | ofNumber ->
            match all |> List.tryFind (fun e -> e.Type = ofNumber) with
            | Some element when data.Rank = 1 -> ValueSome element
            | _ -> ValueNone

    /// <summary>The kind that a header names, and whether its bytes are in big-endian order.</summary>
    let tryOfDescr (descr: string) : struct (NpyElement * bool) voption =
        let found = all |> List.tryFind (fun e -> descr.Length = 3 && descr.EndsWith e.Code)

        match found with
        | Some element when element.Size = 1 && "|<>".Contains descr[0] -> ValueSome(struct (element, false))
        | Some element when descr[0] = '<' -> ValueSome(struct (element, false))
        | Some element when descr[0] = '>' -> ValueSome(struct (element, true))
        | _ -> ValueNone

    /// The name that NumPy writes: little-endian, or without an order where there is none.
    let descr (element: NpyElement) : string =
        (if element.Size = 1 then "|" else "<") + element.Code

    /// The memory of an array of such numbers.
    let bytesOf (element: NpyElement) (data: Array) : Span<byte> =
        MemoryMarshal.CreateSpan(&MemoryMarshal.GetArrayDataReference data, data.Length * element.Size)

    /// Turns each number's bytes round.
    let turn (size: int) (bytes: Span<byte>) : unit =
        if size > 1 then
            for i in 0..size .. bytes.Length - size do
                bytes.Slice(i, size).Reverse()
