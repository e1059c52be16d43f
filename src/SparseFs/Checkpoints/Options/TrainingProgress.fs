namespace SparseFs

open System.Collections.Generic

/// <summary>Where a training run stands, beside its model, its optimizer and its rewirer.</summary>
type TrainingProgress =
    {
        /// <summary>The caller's count of steps, 0 or more.</summary>
        Step: int64
        /// <summary>What the caller draws batches from, or whatever else.</summary>
        Seed: Seed
        /// <summary>The caller's own texts: a Map, or any other dictionary.</summary>
        Notes: IReadOnlyDictionary<string, string>
    }

    override p.ToString() =
        let notes = p.Notes |> Seq.map (fun note -> $", {note.Key} = {note.Value}")
        $"step {p.Step}, {p.Seed}{String.concat System.String.Empty notes}"
