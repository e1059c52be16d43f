namespace SparseFs

/// <summary>How many slots the rows, or the columns, of a pattern have.</summary>
type DegreeDistribution =
    {
        /// <summary>The fewest slots; 0 where there is nothing to count.</summary>
        Least: int
        /// <summary>The most slots; 0 where there is nothing to count.</summary>
        Most: int
        /// <summary>The mean; 0 where there is nothing to count.</summary>
        Mean: float
        /// <summary>The standard deviation over all of them, not of a sample; 0 where there is nothing to count.</summary>
        Deviation: float
        /// <summary>Length Most + 1: entry d says how many have d slots.</summary>
        Counts: int[]
    }

    override d.ToString() =
        invariant $"{d.Least} to {d.Most} slots, {d.Mean:G4} in the mean, deviation {d.Deviation:G4}"
