module SparseFs.Tests.SparsifyTwinsTests

open System
open Expecto
open SparseFs
open TorchSharp

/// Its core is declared as what an LSTM and its twin both are.
type private Reader() as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Reader")

    let core: torch.nn.Module = torch.nn.LSTM(6L, 8L, batchFirst = true)
    let attention = torch.nn.MultiheadAttention(8L, 2L)

    let head: torch.nn.Module<torch.Tensor, torch.Tensor> = torch.nn.Linear(8L, 3L)

    do this.RegisterComponents()

    member _.Core = core
    member _.Attention = attention

    override _.forward x =
        let y =
            match core with
            | :? SparseLSTM as sparse ->
                let struct (y, _, _) = sparse.call x
                y
            | core ->
                let zeros = torch.zeros (1L, x.shape[0], 8L)
                let struct (y, _, _) = (core :?> Modules.LSTM).call(x, struct (zeros, zeros))
                y

        head.call y

type private Branches() as this =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>("Branches")

    let named =
        torch.nn.ModuleDict(
            struct ("a", torch.nn.LSTM(4L, 8L) :> torch.nn.Module),
            struct ("b", torch.nn.GRU(4L, 8L) :> torch.nn.Module)
        )

    do this.RegisterComponents()

    member _.Named = named
    override _.forward x = x

let private lstms (_: string) (m: torch.nn.Module) : torch.nn.Module | null =
    match m with
    | :? Modules.LSTM as lstm -> SparseLSTM.ofDense (lstm, 0.5)
    | :? Modules.MultiheadAttention as attention -> SparseMultiheadAttention.ofDense (attention, 2, 0.5, 0.0)
    | _ -> null

[<Tests>]
let sparsifyTwinsTests =
    testList
        "Sparsify.twins"
        [ test "a twin stands where its module stood, in its field and in state_dict" {
              use _ = torch.NewDisposeScope()
              let model = new Reader()
              let x = torch.randn (2L, 5L, 6L)
              let dense = model.call x

              let full (_: string) (m: torch.nn.Module) : torch.nn.Module | null =
                  match m with
                  | :? Modules.LSTM as lstm -> SparseLSTM.ofDense (lstm, 0.0)
                  | _ -> null

              let report = Sparsify.twins full model
              Expect.isTrue (model.Core :? SparseLSTM) "the field"
              Expect.equal report.Replaced 2 "both matrices"
              Expect.isTrue (model.state_dict().ContainsKey "core.weight_ih_l0") "its name"
              // Gates of some twenty products of numbers below 1, and a head over them, in another order.
              Expect.isLessThan (model.call(x).sub(dense).abs().max().item<float32>()) 1e-5f "the same function"
          }

          test "where a place cannot hold the twin, the module stays, and the table says why" {
              use _ = torch.NewDisposeScope()
              let model = new Reader()
              let report = Sparsify.twins lstms model

              let rows =
                  report.Rows
                  |> Array.filter (fun r -> r.Name.StartsWith("attention", StringComparison.Ordinal))

              Expect.isNonEmpty rows "rows of the attention"

              for row in rows do
                  Expect.isFalse row.IsReplaced row.Name
                  Expect.stringContains row.WhyNot "field 'attention' can hold MultiheadAttention only" row.Name

              Expect.equal (model.Attention.GetType()) typeof<Modules.MultiheadAttention> "the field"
              Expect.isTrue (model.Core :? SparseLSTM) "the other one is replaced"
          }

          test "containers hold them; what torch's twins need is told of the rest" {
              use _ = torch.NewDisposeScope()

              let model = new Branches()
              let report = Sparsify.twins lstms model
              Expect.isTrue (model.Named["a"] :? SparseLSTM) "in a dictionary"

              let rest =
                  report.Rows
                  |> Array.filter (fun r -> r.Name.StartsWith("named.b.", StringComparison.Ordinal))

              Expect.equal rest.Length 2 "the GRU's matrices"

              Expect.all
                  rest
                  (fun r -> r.WhyNot.Contains("SparseGRU.ofDense", StringComparison.Ordinal))
                  "what makes a twin"
          }

          test "an error of the function passes, nothing has changed, and twins that were made are freed" {
              use _ = torch.NewDisposeScope()
              let model = new Reader()
              let mutable made: SparseLSTM | null = null

              let failing (name: string) (m: torch.nn.Module) : torch.nn.Module | null =
                  match m with
                  | :? Modules.LSTM as lstm ->
                      let twin = SparseLSTM.ofDense (lstm, 0.5)
                      made <- twin
                      twin
                  | :? Modules.Linear -> failwith "no twin of that"
                  | _ -> null

              Expect.throws (fun () -> Sparsify.twins failing model |> ignore) "the error"
              Expect.isTrue (model.Core :? Modules.LSTM) "the field"

              match made with
              | null -> failtest "the function was asked in the model's order"
              | twin -> Expect.throws (fun () -> (Seq.head (twin.parameters ())).sum() |> ignore) "freed"
          } ]
