using System;
using DigitServer.Models;
using DigitServer.Requests;
using DigitServer.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace DigitServer;

/// <summary>The service from its parts.</summary>
internal static class Service
{
    public static WebApplication Build(ServerOptions options, ModelSlot slot)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => Bound(kestrel, options));
        // What keeps the service from starting is said once, by Program.
        builder.Logging.SetMinimumLevel(LogLevel.Warning).AddFilter("DigitServer", LogLevel.Information).AddFilter("Microsoft.Extensions.Hosting", LogLevel.Critical);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, WireJson.Default));
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton(slot);
        builder.Services.AddSingleton<Admission>();
        builder.Services.AddSingleton<Measures>();
        builder.Services.AddSingleton<Guard>();
        builder.Services.AddHostedService<ModelWatcher>();
        var app = builder.Build();
        app.UseMiddleware<Guard>();
        app.MapDigits();
        return app;
    }

    /// What a client can take of memory and time: connections, bytes of each, and seconds for each part of a request.
    private static void Bound(KestrelServerOptions kestrel, ServerOptions options)
    {
        kestrel.Listen(options.Host, options.Port);
        kestrel.AddServerHeader = false;
        var limits = kestrel.Limits;
        limits.MaxConcurrentConnections = options.Connections;
        limits.MaxConcurrentUpgradedConnections = 0;
        limits.MaxRequestBodySize = options.Body;
        limits.MaxRequestLineSize = 4_096;
        limits.MaxRequestHeadersTotalSize = 16_384;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(5);
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(60);
        limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 1_024, gracePeriod: TimeSpan.FromSeconds(3));
        limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 1_024, gracePeriod: TimeSpan.FromSeconds(3));
    }
}
