/// Every two calls on one model.
module SparseFs.Stress.Pairs

open SparseFs.Stress.Coded
open SparseFs.Stress.World
open SparseFs.Stress.Actors
open SparseFs.Stress.Threads

/// What two actors promise to each other, and to a third that infers beside them.
let private promise (a: Actor) (b: Actor) : Promise =
    let changes = [ a.Kind; b.Kind ] |> List.filter (fun kind -> kind <> Kind.Reads)

    if List.contains Kind.Writes changes then
        // Of a pattern that is exchanged while numbers are written, nothing is said.
        if changes.Length = 1 then
            Promise.OnePattern
        else
            Promise.Nothing
    elif List.contains Kind.Rewires changes then
        Promise.OwnCells
    else
        Promise.OneVersion

let private isChange (actor: Actor) = actor.Kind <> Kind.Reads

let private mayRefuse (a: Actor) (b: Actor) =
    let are (x: string) (y: string) =
        (a.Name, b.Name) = (x, y) || (a.Name, b.Name) = (y, x)

    a.Kind = Kind.Moves
    || b.Kind = Kind.Moves
    // Two changes at once are the business of one thread; what is asked is that nothing crashes or is mixed.
    || (isChange a && isChange b)
    // What was recorded before a change may be refused after it.
    || (isChange b && a.Name = "forward-backward")
    // The optimizer's moments are for the slots that it was made over.
    || are "saveTraining" "load-of-another-nnz"

/// Two rewirers on one layer are no question of threads. Nor is torch's own writing into a parameter (an optimizer's
/// step, a copy) while its number of slots changes: an optimizer's step beside inference and beside loads of as many
/// slots is promised, this is not, and torch checks sizes before it writes and not while.
let areApart (a: Actor) (b: Actor) =
    let isWriter (x: Actor) = x.Kind = Kind.Writes
    let resizes (x: Actor) = x.Name = "load-of-another-nnz"

    not (a.Kind = Kind.Rewires && b.Kind = Kind.Rewires)
    && not (isWriter a && resizes b)
    && not (resizes a && isWriter b)

/// What comes once is tried with several models: a disposal, and a rewiring before its layer is loaded behind its back.
let private rounds (a: Actor) (b: Actor) =
    let isOnce (a: Actor) (b: Actor) =
        a.Share = 0.0 || (a.Kind = Kind.Rewires && b.Kind = Kind.Replaces)

    if isOnce a b || isOnce b a then 8 else 1

/// Two actors on one model, so many calls where a forward has one; two threads where they are the same. A crash is told
/// by the last line that stderr begins with "@".
let pair (shape: Shape) (forwards: int) (a: Actor) (b: Actor) : string list =
    [ for _ in 1 .. rounds a b do
          eprintfn $"@ {a.Name} beside {b.Name}"
          use w = new World(shape)
          w.Promise <- promise a b
          w.IsIdle <- not (isChange a || isChange b)
          w.HasOneWriter <- not (isChange a && isChange b)
          w.MayRefuse <- mayRefuse a b

          let count (actor: Actor) =
              max 1 (int (float (forwards / rounds a b) * actor.Share))

          let works =
              [ a.Name, count a, a.Start w
                b.Name, count b, b.Start w
                if isChange a && isChange b then
                    "a forward beside", forwards / 4, (named "forward").Start w ]

          for failure in together w works do
              $"{a.Name} beside {b.Name}: {failure}" ]
