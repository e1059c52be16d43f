// Digits that a person draws, read by a sparse network: dotnet fsi build.fsx serve. README.md has the options and what is answered.
using System;
using System.IO;
using System.Linq;
using DigitServer;
using DigitServer.Models;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Hosting;

if (args.Contains("--help"))
{
    Console.WriteLine(ServerOptions.Usage);
    return 0;
}

try
{
    var options = ServerOptions.Parse(args);
    var slot = new ModelSlot(options.Model);
    await using var app = Service.Build(options, slot);
    await app.StartAsync();
    Console.WriteLine($"{string.Join(" ", app.Urls)} answers with {slot.Current}");
    await app.WaitForShutdownAsync();
    return 0;
}
catch (OptionsException e)
{
    Console.Error.WriteLine($"{e.Message}\n{ServerOptions.Usage}");
    return 2;
}
catch (ModelRefusedException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
catch (IOException e)
{
    // What Kestrel says of an address that it cannot have.
    Console.Error.WriteLine(e.Message);
    return 1;
}
