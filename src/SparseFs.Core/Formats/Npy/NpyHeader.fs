namespace SparseFs

open System
open System.Globalization

/// <summary>What the header of a .npy file says.</summary>
type internal NpyHeader =
    { Descr: string
      IsFortran: bool
      Shape: int64[] }

/// <summary>The header's dictionary, a literal of Python's: {'descr': '&lt;f4', 'fortran_order': False, 'shape': (3, 4), }</summary>
module internal NpyHeader =

    /// The most dimensions that NumPy takes.
    let maxRank = 64

    /// <summary>Reads the dictionary.</summary>
    /// <param name="refuse">Raises the error: at which character, what was expected and what came.</param>
    /// <param name="text">The header without its length, which ends in spaces and a line feed.</param>
    let parse (refuse: int -> string -> string -> exn) (text: string) : NpyHeader =
        let at = ref 0

        let skipSpace () =
            while at.Value < text.Length && (text[at.Value] = ' ' || text[at.Value] = '\n') do
                at.Value <- at.Value + 1

        let rest () =
            if at.Value >= text.Length then
                "the end of the header"
            else
                ArrayFile.shown (text.Substring(at.Value, min 41 (text.Length - at.Value)))

        let refuseHere (expected: string) : 'a =
            raise (refuse at.Value expected (rest ()))

        let isNext (ch: char) =
            skipSpace ()
            at.Value < text.Length && text[at.Value] = ch

        let take (ch: char) =
            if not (isNext ch) then
                refuseHere (invariant $"'{ch}'")

            at.Value <- at.Value + 1

        let quoted () =
            skipSpace ()

            if at.Value >= text.Length || (text[at.Value] <> '\'' && text[at.Value] <> '"') then
                refuseHere "a string in quotes"

            let closing = text.IndexOf(text[at.Value], at.Value + 1)

            if closing < 0 then
                refuseHere "a string that ends"

            let inside = text.Substring(at.Value + 1, closing - at.Value - 1)
            at.Value <- closing + 1
            inside

        let boolean () =
            skipSpace ()

            let isThere (word: string) =
                text.AsSpan(at.Value).StartsWith(word.AsSpan(), StringComparison.Ordinal)

            if isThere "True" then
                at.Value <- at.Value + 4
                true
            elif isThere "False" then
                at.Value <- at.Value + 5
                false
            else
                refuseHere "True or False"

        let number () =
            skipSpace ()
            let mutable last = at.Value

            while last < text.Length && Char.IsAsciiDigit text[last] do
                last <- last + 1

            match
                Int64.TryParse(text.AsSpan(at.Value, last - at.Value), NumberStyles.None, CultureInfo.InvariantCulture)
            with
            | true, value ->
                // Python 2 wrote 3L.
                at.Value <-
                    (if last < text.Length && text[last] = 'L' then
                         last + 1
                     else
                         last)

                value
            | _ -> refuseHere "a size in 0..2^63 - 1"

        /// (), (3,), (3, 4), (3, 4, )
        let tuple () =
            take '('
            let sizes = ResizeArray<int64>()
            let mutable isOpen = not (isNext ')')

            while isOpen do
                if sizes.Count = maxRank then
                    refuseHere (invariant $"at most {maxRank} dimensions")

                sizes.Add(number ())

                if isNext ',' then
                    at.Value <- at.Value + 1
                    isOpen <- not (isNext ')')
                elif sizes.Count = 1 then
                    refuseHere "',' after the only size"
                else
                    isOpen <- false

            take ')'
            sizes.ToArray()

        let mutable descr, isFortran, shape = ValueNone, ValueNone, ValueNone
        take '{'

        while not (isNext '}') do
            let start = at.Value
            let key = quoted ()
            take ':'

            match key with
            | "descr" when descr.IsNone -> descr <- ValueSome(quoted ())
            | "fortran_order" when isFortran.IsNone -> isFortran <- ValueSome(boolean ())
            | "shape" when shape.IsNone -> shape <- ValueSome(tuple ())
            | _ -> raise (refuse start "'descr', 'fortran_order' and 'shape', each once" (ArrayFile.shown key))

            if isNext ',' then
                at.Value <- at.Value + 1
            elif not (isNext '}') then
                refuseHere "',' or '}'"

        take '}'
        skipSpace ()

        if at.Value < text.Length then
            refuseHere "nothing after the dictionary"

        match struct (descr, isFortran, shape) with
        | struct (ValueSome descr, ValueSome isFortran, ValueSome shape) ->
            { Descr = descr
              IsFortran = isFortran
              Shape = shape }
        | _ -> refuseHere "'descr', 'fortran_order' and 'shape', each once"

    /// <summary>The bytes in front of an array: magic, version 1.0, length and dictionary, padded so that the numbers start
    /// at a multiple of 64.</summary>
    let write (descr: string) (shape: int[]) : byte[] =
        let sizes = Shape.sizes shape
        let sizes = if shape.Length = 1 then sizes + "," else sizes

        let text =
            (invariant $"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}")

        let length = (10 + text.Length + 1 + 63) / 64 * 64
        let bytes = Array.create length (byte ' ')
        [| 0x93uy; byte 'N'; byte 'U'; byte 'M'; byte 'P'; byte 'Y'; 1uy; 0uy |].CopyTo(bytes, 0)
        bytes[8] <- byte ((length - 10) &&& 0xFF)
        bytes[9] <- byte ((length - 10) >>> 8)
        Text.Encoding.ASCII.GetBytes(text).CopyTo(bytes, 10)
        bytes[length - 1] <- byte '\n'
        bytes
