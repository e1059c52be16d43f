namespace SparseFs.Tool

open System
open System.Diagnostics
open System.Globalization
open System.IO
open SparseFs
open SparseFs.Inference

/// <summary>Times of calls, in ticks of the clock, and what they allocated.</summary>
[<NoComparison>]
type internal CallTimes =
    {
        /// Ascending.
        Ticks: int64[]
        /// From the first call's start to the last one's end.
        Seconds: float
        /// Of all threads, by all calls.
        AllocatedBytes: int64
    }

    /// The time below which a part of the calls stayed, in microseconds.
    member t.Microseconds(part: float) : float =
        let index = int (ceil (part * float t.Ticks.Length)) - 1
        1e6 * float t.Ticks[max 0 index] / float Stopwatch.Frequency

/// <summary>How long calls of a network take.</summary>
module internal BenchCommand =

    /// Calls whose times are kept; a measurement ends with the last of them.
    [<Literal>]
    let private MostCalls = 4_194_304

    /// Calls before the first that is measured: the runtime compiles what it runs often anew, after 30 calls and a tenth of a second.
    let private warmUp (call: unit -> unit) (seconds: float) : unit =
        let watch = Stopwatch.StartNew()
        let mutable calls = 0

        while calls < 3 || (watch.Elapsed.TotalSeconds < min 1.0 (0.3 * seconds)) do
            call ()
            calls <- calls + 1

    /// <summary>Measures calls one behind the other.</summary>
    /// <param name="seconds">For how long, above 0; at least one call is made.</param>
    /// <param name="call">What is measured.</param>
    let measure (seconds: float) (call: unit -> unit) : CallTimes =
        warmUp call seconds
        let ticks: int64[] = Array.zeroCreate MostCalls
        let allocated = GC.GetTotalAllocatedBytes true
        let start = Stopwatch.GetTimestamp()
        let until = start + int64 (seconds * float Stopwatch.Frequency)
        let mutable now, calls = start, 0

        while calls = 0 || (calls < MostCalls && now < until) do
            let before = now
            call ()
            now <- Stopwatch.GetTimestamp()
            ticks[calls] <- now - before
            calls <- calls + 1

        let allocated = GC.GetTotalAllocatedBytes true - allocated
        let ticks = Array.sub ticks 0 calls
        Array.sortInPlace ticks

        { Ticks = ticks
          Seconds = float (now - start) / float Stopwatch.Frequency
          AllocatedBytes = allocated }

    /// <summary>Measures a network on inputs of numbers in −1 to 1, which are the same each time.</summary>
    /// <param name="output">Where it tells the times.</param>
    /// <param name="threads">Those of a call.</param>
    /// <param name="batch">Samples of a call.</param>
    /// <param name="seconds">For how long.</param>
    /// <param name="network">The network's file.</param>
    let run (output: TextWriter) (threads: int) (batch: int) (seconds: float) (network: string) : unit =
        let model = SampleNetwork.loadAny network threads
        let most = Array.MaxLength / 4 / max model.Input.Size model.Output.Size

        if batch > most then
            Refusal.because (invariant $"--batch: expected at most {most} samples of this network, got {batch}")

        let random = Random 1

        let samples =
            Array.init (batch * model.Input.Size) (fun _ -> 2.0f * random.NextSingle() - 1.0f)

        let results: float32[] = Array.zeroCreate (batch * model.Output.Size)

        let call =
            if model.Input.TokensName = "" then
                fun () -> model.Run(ReadOnlySpan samples, batch, Span results)
            else
                // A token of each sequence a call; a session that has seen all that it can begins anew.
                let session = model.CreateSession batch
                let tokens: int64[] = Array.zeroCreate (batch * model.Input.Size)

                fun () ->
                    if session.Tokens = session.Capacity then
                        session.Reset()

                    if model.Input.Dtype = "float32" then
                        session.Step(ReadOnlySpan samples, Span results)
                    else
                        session.Step(ReadOnlySpan tokens, Span results)

        let times = measure seconds call

        let calls = int64 times.Ticks.Length

        let number (format: string) (value: float) =
            value.ToString(format, CultureInfo.InvariantCulture)

        let took (part: float) =
            number "#,0.0" (times.Microseconds part) + " µs"

        output.WriteLine(
            invariant $"{Refusal.shown network}: batch {batch}, threads {threads}, {Tables.count calls} calls in "
            + number "0.00" times.Seconds
            + " s"
        )

        Tables.write
            output
            [ ">median"; ">p90"; ">p99"; ">samples a second"; ">bytes allocated a call" ]
            [ [ took 0.5
                took 0.9
                took 0.99
                number "#,0" (float batch * float calls / times.Seconds)
                number "#,0.##" (float times.AllocatedBytes / float calls) ] ]
            []
