namespace SparseFs.Kernels

open System
open SparseFs

/// <summary>One of a convolution's products with its weights, for inputs of one size: each row is a sum of shifted planes.</summary>
/// <remarks>Row r adds values[From[s]] · the pixels from Places[s] on, for its slots s = RowPtr[r] .. RowPtr[r + 1] − 1.
/// A sample of more than 2^31 − 1 floats raises OverflowException where the stencil is made.</remarks>
type internal Stencil =
    {
        RowPtr: int[]
        /// Where each slot's pixels begin, in floats.
        Places: int[]
        /// The pattern's slot of each of these; null where they are the same.
        From: int[] | null
        /// Rows that share their places: 1, 2 or 4.
        RowGroup: int
        Source: PixelLayout
        Target: PixelTarget
    }

    member s.Rows: int = s.RowPtr.Length - 1

    /// Whether each pixel of a sample meets its output alone, at the same place: so it is where kernels have one cell and no stride.
    member s.IsPointwise: bool =
        s.Source.IsSample
        && s.Target.IsOneRow
        && s.Source.SamplePixels = s.Target.Size.Pixels

[<RequireQualifiedAccess>]
module internal Stencil =

    /// <summary>The convolution itself: a row for each output channel, whose slots are the pattern's.</summary>
    let ofForward (g: ConvGeometry) (pattern: Connectivity) (rowGroup: int) (input: Extent) : Stencil =
        let padded = g.Padded input
        let source = PixelLayout(g.InChannels, input, g.Before, padded, g.Stride)
        Checked.int source.Floats |> ignore
        let cells, inputs = g.Cells, g.InChannels / g.Groups

        let distance =
            Array.init cells (fun cell -> source.Place(Extent.map2 (*) (g.CellAt cell) g.Dilation))

        let rowPtr, colIdx = pattern.RowPtrArray, pattern.ColIdxArray
        let places: int[] = Array.zeroCreate pattern.Nnz
        let outputs = g.OutChannels / g.Groups

        for r in 0 .. pattern.Rows - 1 do
            let firstChannel = r / outputs * inputs

            for s in rowPtr[r] .. rowPtr[r + 1] - 1 do
                let channel, cell = colIdx[s] / cells, colIdx[s] % cells
                places[s] <- Checked.int (int64 (firstChannel + channel) * source.Apart + distance[cell])

        { RowPtr = rowPtr
          Places = places
          From = null
          RowGroup = rowGroup
          Source = source
          Target = PixelTarget(g.Output input, Extent.all 1, source.Row, source.Plane) }

    /// <summary>The same with the slots of each row ordered by cells, and in each cell by channels.</summary>
    /// <remarks>Neighbouring slots are of different channels then: where each adds to its pixels, none waits for what its neighbour
    /// has stored in the same ones. Each pixel gets its sums in the same order as before.</remarks>
    let byCell (g: ConvGeometry) (pattern: Connectivity) (forward: Stencil) : Stencil =
        let rowPtr, colIdx, cells = pattern.RowPtrArray, pattern.ColIdxArray, g.Cells
        let from: int[] = Array.zeroCreate pattern.Nnz
        let next: int[] = Array.zeroCreate (cells + 1)

        for r in 0 .. pattern.Rows - 1 do
            Array.Clear next

            for s in rowPtr[r] .. rowPtr[r + 1] - 1 do
                let cell = colIdx[s] % cells
                next[cell + 1] <- next[cell + 1] + 1

            next[0] <- rowPtr[r]

            for cell in 1..cells do
                next[cell] <- next[cell] + next[cell - 1]

            for s in rowPtr[r] .. rowPtr[r + 1] - 1 do
                let cell = colIdx[s] % cells
                from[next[cell]] <- s
                next[cell] <- next[cell] + 1

        { forward with
            Places = from |> Array.map (fun s -> forward.Places[s])
            From = from }

    let private floorDiv (a: int) (b: int) : int =
        if a >= 0 then a / b else -((b - 1 - a) / b)

    /// <summary>Its transpose: a row for each input channel and phase of the stride, whose pixels are summed from the outputs'
    /// gradient.</summary>
    /// <remarks>The input's pixel p gets w · g at (p + before − cell · dilation) / stride, where that is whole: so each cell belongs to
    /// one phase, and within that phase stands at one distance.</remarks>
    let ofTranspose (g: ConvGeometry) (pattern: Connectivity) (input: Extent) : Stencil =
        let output = g.Output input

        let cells, inputs, outputs =
            g.Cells, g.InChannels / g.Groups, g.OutChannels / g.Groups

        let phases = int g.Stride.Pixels

        // Of each cell: the phase, and how far its output lies from the phase's pixel of the same number.
        let phaseOf, shiftOf =
            Array.unzip
                [| for cell in 0 .. cells - 1 ->
                       let back =
                           Extent.map3
                               (fun cell dilation before -> cell * dilation - before)
                               (g.CellAt cell)
                               g.Dilation
                               g.Before

                       let shift = Extent.map2 (fun back stride -> -(floorDiv back stride)) back g.Stride

                       let phase =
                           Extent.map3 (fun back stride shift -> back + stride * shift) back g.Stride shift

                       (phase.Depth * g.Stride.Height + phase.Height) * g.Stride.Width + phase.Width, shift |]

        let least = Array.reduce (Extent.map2 min) shiftOf
        let most = Array.reduce (Extent.map2 max) shiftOf

        // Pixels of the longest phase.
        let longest =
            Extent.map2 (fun size stride -> (size + stride - 1) / stride) input g.Stride

        let before = Extent.map2 (fun least none -> max none -least) least (Extent.all 0)

        let padded =
            Extent.map3 (fun before most longest -> before + most + longest) before most longest

        let source = PixelLayout(g.OutChannels, output, before, padded, Extent.all 1)

        Checked.int source.Floats |> ignore

        let distance =
            shiftOf |> Array.map (fun shift -> source.Place(Extent.map2 (+) shift before))

        // A counting sort by channel and phase, in the order of the pattern's slots.
        let rowPtr, colIdx = pattern.RowPtrArray, pattern.ColIdxArray
        let rows = g.InChannels * phases
        let first: int[] = Array.zeroCreate (rows + 1)

        let each (body: int -> int -> int -> unit) =
            for r in 0 .. pattern.Rows - 1 do
                let firstChannel = r / outputs * inputs

                for s in rowPtr[r] .. rowPtr[r + 1] - 1 do
                    let channel, cell = firstChannel + colIdx[s] / cells, colIdx[s] % cells
                    body s (channel * phases + phaseOf[cell]) (Checked.int (int64 r * source.Apart + distance[cell]))

        each (fun _ row _ -> first[row + 1] <- first[row + 1] + 1)

        for row in 0 .. rows - 1 do
            first[row + 1] <- first[row + 1] + first[row]

        let next = Array.copy first
        let places, from = Array.zeroCreate pattern.Nnz, Array.zeroCreate pattern.Nnz

        each (fun slot row place ->
            let at = next[row]
            places[at] <- place
            from[at] <- slot
            next[row] <- at + 1)

        { RowPtr = first
          Places = places
          From = from
          RowGroup = 1
          Source = source
          Target = PixelTarget(input, g.Stride, source.Row, source.Plane) }
