namespace DigitServer.Driver

open System
open System.IO
open System.Net.Sockets
open System.Text
open System.Threading
open System.Threading.Tasks

/// <summary>A client that says what it likes, as slowly as it likes.</summary>
type Slow(address: Uri) =
    let connection = new TcpClient(address.Host, address.Port)
    let stream = connection.GetStream()

    member _.Send(text: string) : unit =
        stream.Write(ReadOnlySpan(Encoding.Latin1.GetBytes text))

    member _.Send(bytes: byte[]) : unit = stream.Write(ReadOnlySpan bytes)

    /// All that comes until the service closes the connection; none where it does not in time.
    member _.ToTheEnd(within: TimeSpan) : Task<string option> =
        task {
            use late = new CancellationTokenSource(within)
            use all = new MemoryStream()

            try
                do! stream.CopyToAsync(all, late.Token)
                return Some(Encoding.UTF8.GetString(all.ToArray()))
            with
            | :? OperationCanceledException -> return None
            // A connection that is reset is closed too.
            | :? IOException -> return Some(Encoding.UTF8.GetString(all.ToArray()))
        }

    interface IDisposable with
        member _.Dispose() = connection.Dispose()
