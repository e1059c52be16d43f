namespace SparseFs

open System

/// <summary>What a load that is not strict has passed over.</summary>
type LoadReport =
    {
        /// <summary>Names of the model that the file does not have; those tensors are as they were.</summary>
        Missing: string[]
        /// <summary>Names of the file that the model does not have.</summary>
        Unexpected: string[]
    }

    override r.ToString() =
        let said (what: string) (names: string[]) =
            if names.Length = 0 then
                []
            else
                [ $"""{what}: {String.Join(", ", names)}""" ]

        match
            said "missing in the file" r.Missing
            @ said "unexpected in the file" r.Unexpected
        with
        | [] -> "nothing was passed over"
        | parts -> String.Join("; ", parts)
