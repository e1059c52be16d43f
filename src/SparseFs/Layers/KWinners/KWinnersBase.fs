namespace SparseFs

open System
open System.Collections.Generic
open System.Globalization
open System.Runtime.InteropServices
open System.Threading
open SparseFs.Kernels
open SparseFs.Torch
open TorchSharp

/// <summary>What both K-winners layers share: the duty cycle, the boost, and their state.</summary>
/// <remarks>
/// Buffers, of which state_dict holds all: <c>duty_cycle</c> [units], float32, the part of the recent samples in which each
/// unit won; <c>samples_seen</c>, int64; <c>boost_strength</c>, float32. They move with the layer, and keep their dtypes
/// under .to(dtype): a duty cycle in half precision would not feel single samples. Only a forward in training mode
/// changes them. This layer's own load_state_dict refuses what does not fit before anything is copied; a parent's copies
/// without asking, and is checked by torch for shapes alone.
/// </remarks>
[<AbstractClass>]
type KWinnersBase internal (name: string, units: int, options: KWinnersOptions option, device: torch.Device option) =
    inherit torch.nn.Module<torch.Tensor, torch.Tensor>(TorchStart.named name)

    let options = KWinnersOptions.check (defaultArg options KWinnersOptions.defaults)
    do Option.iter (TensorView.checkDevice (nameof device)) device
    let device = defaultArg device (torch.get_default_device ())

    let buffer (make: unit -> torch.Tensor) =
        use made = make ()
        made.``to``(device, copy = true).DetachFromDisposeScope()

    let mutable dutyCycle =
        buffer (fun () -> torch.zeros (int64 units, dtype = torch.float32))

    let mutable samplesSeen = buffer (fun () -> torch.zeros ([||], dtype = torch.int64))

    /// Batches are taken in one after the other.
    let gate = obj ()

    let scalar (number: float) (device: torch.Device) =
        use number = number.ToScalar()
        torch.full ([||], number, dtype = torch.float32, device = device)

    let mutable boostStrength =
        buffer (fun () -> scalar (Boost.strength options.Boost) device)

    let mutable current = KWinnersBuffers(dutyCycle, samplesSeen, boostStrength)
    let mutable isDisposed = 0
    let mutable isTraining = true

    let invariant (number: float) =
        number.ToString("0.######", CultureInfo.InvariantCulture)

    do
        base.register_buffer ("duty_cycle", dutyCycle)
        base.register_buffer ("samples_seen", samplesSeen)
        base.register_buffer ("boost_strength", boostStrength)

    /// <summary>What the layer was made with; the boost's present strength is <c>Boost</c>'s.</summary>
    member _.Options: KWinnersOptions = options

    /// <summary>The duty cycle of each unit: the live buffer, shape [units].</summary>
    member _.duty_cycle: torch.Tensor = dutyCycle

    /// <summary>How many samples the layer has been trained with.</summary>
    member this.SamplesSeen: int64 =
        this.Reading(fun buffers -> buffers.SamplesSeen.item<int64>())

    /// <summary>Form and present strength of the boost.</summary>
    /// <example><code>
    /// let winners = new KWinners(784, { KWinnersOptions.defaults with BoostDecay = 0.5 })
    /// winners.EndEpoch()
    /// winners.Boost // = Exponential 0.75
    /// </code></example>
    member this.Boost: Boost =
        this.Reading(fun buffers -> Boost.withStrength (float (buffers.BoostStrength.item<float32>())) options.Boost)

    /// <summary>The duty cycle as numbers, length units.</summary>
    /// <example><code>
    /// let winners = new KWinners(784)
    /// winners.call x |> ignore
    /// let never = winners.DutyCycles() |> Array.filter ((=) 0.0) |> Array.length
    /// printfn $"{never} of 784 units have not won yet"
    /// </code></example>
    member this.DutyCycles() : float[] =
        use _ = torch.NewDisposeScope()
        this.Reading(fun buffers -> buffers.DutyCycle.cpu().data<float32>().ToArray() |> Array.map float)

    /// <summary>The entropy of the duty cycle, in bits: 0 where the same units always win.</summary>
    /// <remarks>As <c>DutyCycle.entropy</c>.</remarks>
    /// <example><code>
    /// let winners = new KWinners(784)
    /// winners.Entropy() // = 0.0
    /// </code></example>
    member this.Entropy() : float = DutyCycle.entropy (this.DutyCycles())

    /// <summary>Ends an epoch: the strength of the boost is multiplied by its decay.</summary>
    /// <example><code>
    /// let winners = new KWinners(784, { KWinnersOptions.defaults with BoostDecay = 0.9 })
    /// for _ in 1..10 do
    ///     winners.call x |> ignore // the batches of an epoch
    ///     winners.EndEpoch()
    /// printfn $"{winners}"
    /// </code></example>
    member this.EndEpoch() =
        use _ = torch.no_grad ()
        use decay = options.BoostDecay.ToScalar()
        lock gate (fun () -> this.Reading(fun buffers -> buffers.BoostStrength.mul_ decay |> ignore))

    /// The buffers as they are, in use.
    member private this.Enter() : KWinnersBuffers =
        let buffers = Volatile.Read &current

        if buffers.Shared.TryEnter() then
            buffers
        elif Volatile.Read &isDisposed = 1 then
            raise (ObjectDisposedException(string this, LayerText.disposed))
        else
            this.Enter() // they were moved this moment

    /// Runs one call with the buffers as they are.
    member internal this.Reading<'a>(body: KWinnersBuffers -> 'a) : 'a =
        let buffers = this.Enter()

        try
            body buffers
        finally
            buffers.Shared.Exit()

    /// What turns an input into a score, [units] of float32, and how; null without a boost.
    member internal _.Terms(buffers: KWinnersBuffers, target: float) : struct (Scores * (torch.Tensor | null)) =
        match options.Boost with
        | Boost.None -> struct (Scores.Inputs, null)
        | Boost.Exponential _ -> struct (Scores.Products, (buffers.Deficit target).exp_())
        | Boost.Additive _ -> struct (Scores.Sums, buffers.Deficit target)

    /// <summary>Takes in the wins of a batch.</summary>
    /// <param name="buffers">The buffers in use.</param>
    /// <param name="samples">The samples of the batch, 1 or more.</param>
    /// <param name="places">In how many places of a sample a unit may win.</param>
    /// <param name="wins">[units], integers.</param>
    member internal _.Note(buffers: KWinnersBuffers, samples: int, places: int, wins: torch.Tensor) =
        lock gate (fun () -> buffers.Note(options.DutyCycle, samples, places, wins))

    /// <exception cref="T:System.ArgumentException">x is null, not floating, on another device than the buffers, or not
    /// finite where that is checked; or the duty cycle has been replaced.</exception>
    member internal this.CheckInput(buffers: KWinnersBuffers, x: torch.Tensor) =
        TensorView.checkFloating "x" x
        TensorView.checkVector "duty_cycle" buffers.DutyCycle units
        let device = buffers.DutyCycle.device

        if x.device_type <> device.``type`` || x.device_index <> device.index then
            raise (Misfit.device "x" x.device this "duty_cycle" device)

        if options.CheckInput then
            use _ = torch.NewDisposeScope()

            if not (x.isfinite().all().item<bool>()) then
                raise (ArgumentException("expected finite numbers, got NaN or infinity", "x"))

    /// The arguments of ToString that both kinds of layer have.
    member internal this.Describe() : string =
        let rule =
            match options.DutyCycle with
            | DutyCycle.Alpha alpha -> $"alpha={invariant alpha}"
            | DutyCycle.Period samples -> $"period={samples}"

        // Errors hold the text, also that of a layer whose numbers are gone or were never there.
        let hasNumbers =
            Volatile.Read &isDisposed = 0 && boostStrength.device_type <> DeviceType.META

        let strength () =
            invariant (Boost.strength (if hasNumbers then this.Boost else options.Boost))

        let boost =
            match options.Boost with
            | Boost.None -> "boost=None"
            | Boost.Exponential _ -> $"boost=exponential, strength={strength ()}"
            | Boost.Additive _ -> $"boost=additive, strength={strength ()}"

        String.concat
            ", "
            [ match options.Winners with
              | WinnerCount.Sparsity sparsity -> $"sparsity={invariant sparsity}"
              | WinnerCount.Exactly _ -> ()
              rule
              boost
              if options.BoostDecay <> 1.0 then
                  $"decay={invariant options.BoostDecay}"
              if options.InferenceFactor <> 1.0 then
                  $"inference_factor={invariant options.InferenceFactor}"
              if options.StraightThrough then
                  "straight_through=True" ]

    // Buffers are registered by name above; the default would reflect over fields.
    override _.RegisterComponents() = ()

    /// The buffer itself, or its registered successor on another device.
    member private this.Moved(name: string, current: torch.Tensor, device: torch.Device) =
        if
            current.device_type = device.``type``
            && (device.index < 0 || current.device_index = device.index)
        then
            current
        else
            let moved = current.``to``(device).DetachFromDisposeScope()
            this.ConditionallyRegisterBuffer(name, moved)
            Replaced.later (SharedTensors [| current |])
            moved

    member private this.Move(device: torch.Device) =
        lock gate (fun () ->
            let before = current
            dutyCycle <- this.Moved("duty_cycle", dutyCycle, device)
            samplesSeen <- this.Moved("samples_seen", samplesSeen, device)
            boostStrength <- this.Moved("boost_strength", boostStrength, device)
            Volatile.Write(&current, KWinnersBuffers(dutyCycle, samplesSeen, boostStrength))
            before.Shared.Retire())

        this._deviceType <- device.``type``
        this._deviceIndex <- device.index
        this :> torch.nn.Module

    override this._to(device: torch.Device, _: torch.ScalarType, _: bool) = this.Move device

    override this._to(deviceType: DeviceType, deviceIndex: int, _: bool) =
        this.Move(new torch.Device(deviceType, deviceIndex))

    override this._to(_: torch.ScalarType, _: bool) = this :> torch.nn.Module

    /// <summary>Whether the layer is in training mode, as <c>train</c> and <c>eval</c> have set it.</summary>
    // torch's own asks the native module, which Dispose frees at once, also while a call on another thread reads it.
    override _.training = isTraining

    // C# and F# take the defaults of an override, not those of what it overrides.
    override _.train([<Optional; DefaultParameterValue(true)>] train: bool) = isTraining <- train

    // The base's own is not for two threads at once.
    override this.Dispose(disposing: bool) =
        if not disposing then
            base.Dispose disposing
        elif Interlocked.Exchange(&isDisposed, 1) = 0 then
            lock gate (fun () -> current.Shared.Retire())

            // Freed a little later than torch's own would be: see Replaced.
            this.ConditionallyRegisterBuffer("duty_cycle", null)
            this.ConditionallyRegisterBuffer("samples_seen", null)
            this.ConditionallyRegisterBuffer("boost_strength", null)
            Replaced.later (SharedTensors [| dutyCycle; samplesSeen; boostStrength |])
            base.Dispose disposing

    // A closure cannot call a base member; this can.
    member private _.LoadStateDict(source, strict, skip) =
        base.load_state_dict (source, strict, skip)

    // C# takes the defaults of an override, not those of what it overrides.
    override this.load_state_dict
        (
            source: Dictionary<string, torch.Tensor>,
            [<Optional; DefaultParameterValue(true)>] strict: bool,
            [<Optional; DefaultParameterValue(null: IList<string> | null)>] skip: IList<string> | null
        ) =
        if isNull (box source) then
            nullArg (nameof source)

        let isSkipped (key: string) =
            match skip with
            | null -> false
            | skip -> skip.Contains key

        let numbers (key: string) (checkShape: torch.Tensor -> unit) =
            match source.TryGetValue key with
            | true, tensor when not (isSkipped key) ->
                if isNull (box tensor) then
                    nullArg key

                checkShape tensor

                match KWinnersBuffers.WrongNumbers(key, tensor) with
                | ValueSome reason -> raise (ArgumentException($"{reason}; the layer keeps its state", key))
                | ValueNone -> ()
            | _ -> ()

        let single (key: string) (tensor: torch.Tensor) =
            if tensor.dim () <> 0L then
                raise (ArgumentException($"expected shape [], got {Shape.text tensor.shape}", key))

        numbers "duty_cycle" (fun tensor -> TensorView.checkVector "duty_cycle" tensor units)
        numbers "samples_seen" (single "samples_seen")
        numbers "boost_strength" (single "boost_strength")
        this.LoadStateDict(source, strict, skip)
