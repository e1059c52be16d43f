/// Samples come from requests of the right form alone.
module SparseFs.Tests.RequestReaderTests

open System
open System.IO
open System.Text
open Expecto
open SparseFs.Inference
open SparseFs.Tool

/// What a network [batch, 3] reads of a body.
let private readers =
    lazy
        inFolder (fun folder ->
            writeNetwork folder 1 [ 3; 2 ]
            SparseModel.Load(Path.Combine(folder, "network")))

let private read (body: string) : float32[] =
    RequestReader.read readers.Value.Input (ReadOnlySpan(Encoding.UTF8.GetBytes body))

let private refusal (body: string) : string =
    try
        failtest $"expected a refusal of {body}, got {read body}"
    with :? BadRequest as e ->
        e.Message

[<Tests>]
let requestTests =
    testList
        "RequestReader"
        [ test "samples come by the input's name, within inputs or alone, and one sample without its dimension" {
              for body, expected in
                  [ """{"inputs": {"input": [[1, 2.5, -3e-1], [4, 5, 6]]}}""", [ 1.0f; 2.5f; -0.3f; 4.0f; 5.0f; 6.0f ]
                    """ {"input":[[1,2,3]]} """, [ 1.0f; 2.0f; 3.0f ]
                    """{"input":[1,2,3]}""", [ 1.0f; 2.0f; 3.0f ]
                    """{"input":[]}""", []
                    """{"inputs":{"input":[]}}""", [] ] do
                  Expect.equal (List.ofArray (read body)) expected body
          }

          test "anything else is refused, and the reason says what was expected" {
              for body, expected in
                  [ "", "expected JSON"
                    "{", "expected JSON"
                    "[]", "expected an object with 'input', got StartArray"
                    "{}", "got one without properties"
                    """{"other":[[1,2,3]]}""", "expected an object with 'input', got 'other'"
                    """{"inputs":{"other":[[1,2,3]]}}""", "got 'other'"
                    """{"inputs":[[1,2,3]]}""", "got StartArray"
                    """{"input":[[1,2,3]],"input":[[1,2,3]]}""", "got more properties"
                    """{"inputs":{"input":[[1,2,3]]},"more":1}""", "expected nothing beside 'inputs'"
                    """{"input":[[1,2,3]]} x""", "expected JSON"
                    """{"input":[[1,2]]}""", "expected arrays of 3 in dimension 1 of a sample, got one of 2"
                    """{"input":[[1,2,3,4]]}""", "expected arrays of 3 in dimension 1"
                    """{"input":[[1,2,3],4]}""", "expected arrays of 3"
                    """{"input":[[[1,2,3]]]}""", "expected a number, got StartArray"
                    """{"input":[[1,2,"3"]]}""", "expected a number, got String"
                    """{"input":[[1,2,null]]}""", "expected a number, got Null"
                    """{"input":[[1,2,NaN]]}""", "expected JSON"
                    """{"input":[[1,2,1e39]]}""", "expected numbers that float32 holds"
                    """{"input":null}""", "expected an array as 'input', got Null"
                    """{"input":""" + String('[', 10_000), "expected a number, got StartArray" ] do
                  Expect.stringContains (refusal body) expected body
          }

          test "every body that is changed in a byte is read or refused, and nothing else happens" {
              let whole =
                  Encoding.UTF8.GetBytes """{"inputs": {"input": [[1, 2.5, -3e-1], [4, 5, 6]]}}"""

              let likely = "0123456789.-eE+,: "B
              let random = Random 3
              let mutable isRead, isRefused = 0, 0

              for _ in 1..3000 do
                  let bytes = Array.copy whole

                  bytes[random.Next bytes.Length] <-
                      if random.Next 2 = 0 then
                          byte (random.Next 256)
                      else
                          likely[random.Next likely.Length]

                  try
                      RequestReader.read readers.Value.Input (ReadOnlySpan bytes) |> ignore
                      isRead <- isRead + 1
                  with :? BadRequest ->
                      isRefused <- isRefused + 1

              Expect.isGreaterThan (min isRead isRefused) 100 "both happen"
          } ]
