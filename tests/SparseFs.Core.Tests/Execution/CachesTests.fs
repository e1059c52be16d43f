/// What is kept between calls has a bound, and can be let go.
module SparseFs.Tests.CachesTests

open System
open Expecto
open SparseFs
open SparseFs.Kernels

[<Tests>]
let caches =
    testSequenced
    <| testList
        "Caches"
        [ testCase "the scratch pool keeps eight blocks at most, and none once it is emptied" (fun () ->
              ScratchPool.empty ()
              let rented = [ for i in 1L .. 20L -> ScratchPool.rent (1024L * i) ]
              List.iter ScratchPool.giveBack rented

              let largest =
                  rented |> List.map _.Bytes |> List.sortDescending |> List.take 8 |> List.sum

              Expect.isGreaterThan (ScratchPool.bytes ()) 0L "not vacuous"
              Expect.isLessThanOrEqual (ScratchPool.bytes ()) largest "bound"
              ScratchPool.empty ()
              Expect.equal (ScratchPool.bytes ()) 0L "emptied"
              ScratchPool.rent 1L |> ScratchPool.giveBack)

          testCase "a plan is made once, made anew after it was forgotten, and goes with its pattern" (fun () ->
              let c = Topology.uniform 20 30 50 (Seed.ofInt 1)
              let first = SpmmPlans.planOf c
              Expect.isTrue (obj.ReferenceEquals(first, SpmmPlans.planOf c)) "once"
              SpmmPlans.forget c
              Expect.isFalse (obj.ReferenceEquals(first, SpmmPlans.planOf c)) "anew"

              let planOfPassing () =
                  let passing = Topology.uniform 20 30 50 (Seed.ofInt 2)
                  WeakReference(SpmmPlans.planOf passing)

              let plan = planOfPassing ()
              let mutable tries = 0

              while plan.IsAlive && tries < 50 do
                  GC.Collect()
                  GC.WaitForPendingFinalizers()
                  tries <- tries + 1

              Expect.isFalse plan.IsAlive "gone") ]
