namespace SparseFs

/// <summary>Treatment of updates of a layer that are refused one after the other.</summary>
type Refusals =
    /// The third in a row raises at Step, with the reason and what helps; the default.
    | Raise = 0
    /// Each is an event: of the rewirer's Events and of the event source "SparseFs".
    | Log = 1
    /// Each is an event of the rewirer's Events alone.
    | Ignore = 2
