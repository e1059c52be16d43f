namespace SparseFs.Torch

open System
open SparseFs
open TorchSharp

/// <summary>Modules of a model that a function has twins of: all or nothing, as Sparsify replaces layers.</summary>
[<RequireQualifiedAccess>]
module internal ModuleTwins =

    let private isWithin (parent: string) (name: string) =
        name.StartsWith(parent + ".", StringComparison.Ordinal)

    /// The modules that got a twin, and their twins: none lies within another one. On an error all twins are freed.
    let private twinsOf (twinOf: string -> torch.nn.Module -> torch.nn.Module | null) (model: torch.nn.Module) =
        let made = ResizeArray<struct (HeldModule * torch.nn.Module)>()

        try
            for held in ModuleTree.find (fun m -> not (obj.ReferenceEquals(m, model))) model do
                if not (made.Exists(fun (struct (earlier, _)) -> isWithin earlier.Name held.Name)) then
                    match twinOf held.Name held.Module with
                    | null -> ()
                    | twin when obj.ReferenceEquals(twin, held.Module) -> ()
                    | twin -> made.Add(struct (held, twin))

            made.ToArray()
        with _ ->
            for struct (_, twin) in made do
                twin.Dispose()

            reraise ()

    let private row (name: string) (rows: int64) (cols: int64) (nnz: int64) (why: string) : SparsifyRow =
        { Name = name
          Rows = int rows
          Cols = int cols
          Nnz = nnz
          IsReplaced = (why = "")
          WhyNot = why
          DenseMs = Nullable()
          SparseMs = Nullable() }

    let private nameIn (parent: string) (own: string) =
        if own = "" then parent else parent + "." + own

    /// A row for each sparse layer of a twin.
    let private rowsOfTwin (held: HeldModule) (twin: torch.nn.Module) : SparsifyRow[] =
        [| for struct (name, m) in ModuleTree.all twin do
               match m with
               | :? SparseLayer as layer ->
                   let c = layer.Connectivity
                   row (nameIn held.Name name) (int64 c.Rows) (int64 c.Cols) (int64 c.Nnz) ""
               | _ -> () |]

    /// A row for each matrix of a module that stays.
    let private rowsOfHeld (held: HeldModule) (why: string) : SparsifyRow[] =
        [| for struct (name, p) in held.Module.named_parameters () do
               if p.dim () >= 2L then
                   let rows = p.shape[0]
                   row (nameIn held.Name name) rows (p.numel () / max 1L rows) (p.numel ()) why |]

    /// <summary>Puts twins where their modules are held.</summary>
    let replace
        (twinOf: string -> torch.nn.Module -> torch.nn.Module | null)
        (model: torch.nn.Module)
        : SparsifyReport =
        let twins = twinsOf twinOf model

        let refusals =
            twins
            |> Array.map (fun (struct (held, twin)) -> ModuleTree.whyNot (twin.GetType()) held)

        let placed, refused =
            Array.zip twins refusals |> Array.partition (fun (_, why) -> why = "")

        try
            ModuleTree.replace
                [ for struct (held, twin), _ in placed do
                      held, twin ]
        with _ ->
            for struct (_, twin) in twins do
                twin.Dispose()

            reraise ()

        for struct (_, twin), _ in refused do
            twin.Dispose()

        let rows =
            [| for struct (held, twin), why in Array.zip twins refusals do
                   yield!
                       (if why = "" then
                            rowsOfTwin held twin
                        else
                            rowsOfHeld held why) |]

        let isRefused (r: SparsifyRow) =
            refused |> Array.exists (fun (struct (held, _), _) -> isWithin held.Name r.Name)

        let others = SparsifyRow.ofMatrices model |> Array.filter (isRefused >> not)
        SparsifyReport(Array.append rows others, true)
