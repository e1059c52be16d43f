using System;
using System.Globalization;
using System.Net;

namespace DigitServer;

/// <summary>What the command line says. Every bound that keeps the memory of the service finite is here.</summary>
internal sealed record ServerOptions
{
    /// <summary>The file of the network; it may be replaced by a rename while the service runs.</summary>
    public required string Model { get; init; }

    public IPAddress Host { get; init; } = IPAddress.Loopback;

    /// <summary>0 lets the system choose one.</summary>
    public int Port { get; init; } = 5080;

    /// <summary>Networks that are computed at once.</summary>
    public int Workers { get; init; } = Environment.ProcessorCount;

    /// <summary>Requests that wait for a worker; any more are refused.</summary>
    public int Queue { get; init; } = 256;

    public int Connections { get; init; } = 1024;

    /// <summary>Bytes of a request's body. 784 numbers as JSON are at most about 20,000.</summary>
    public int Body { get; init; } = 65_536;

    /// <summary>Seconds between two looks at the file of the network; 0 for none.</summary>
    public int Watch { get; init; } = 2;

    public const string Usage = """
        DigitServer --model FILE [options]
          --model FILE        a network of 784 pixels and 10 probabilities, as Deploy.save writes it
          --port 0..65535     5080; 0: any free one
          --host ADDRESS      127.0.0.1
          --workers 1..64     networks that are computed at once; as many as there are processors
          --queue 0..65536    requests that wait for a worker, beyond which 503 is answered; 256
          --connections 1..   connections that are open at once; 1024
          --body 4096..       bytes of a request's body, beyond which 413 is answered; 65536
          --watch 0..3600     seconds between two looks at FILE for a new network; 2, 0: never
        """;

    /// <exception cref="OptionsException">An argument is unknown, has no value, or one that cannot be.</exception>
    public static ServerOptions Parse(string[] arguments)
    {
        var options = new ServerOptions { Model = "" };

        for (var i = 0; i < arguments.Length; i += 2)
        {
            var name = arguments[i];
            string Value() => i + 1 < arguments.Length ? arguments[i + 1] : throw new OptionsException($"{name}: expected a value, got none");

            int Number(int least, int most) =>
                int.TryParse(Value(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most
                    ? number
                    : throw new OptionsException($"{name}: expected a number in {least}..{most}, got '{Value()}'");

            options = name switch
            {
                "--model" => options with { Model = Value() },
                "--host" => options with
                {
                    Host = IPAddress.TryParse(Value(), out var host) ? host : throw new OptionsException($"--host: expected an IP address, got '{Value()}'"),
                },
                "--port" => options with { Port = Number(0, 65_535) },
                "--workers" => options with { Workers = Number(1, 64) },
                "--queue" => options with { Queue = Number(0, 65_536) },
                "--connections" => options with { Connections = Number(1, 65_536) },
                "--body" => options with { Body = Number(4_096, 1 << 24) },
                "--watch" => options with { Watch = Number(0, 3_600) },
                _ => throw new OptionsException($"expected an option, got '{name}'"),
            };
        }

        return options.Model.Length > 0 ? options : throw new OptionsException("--model: expected the file of a network, got none");
    }
}
