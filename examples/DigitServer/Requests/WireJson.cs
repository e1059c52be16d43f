using System.Text.Json.Serialization;
using DigitServer.Models;
using Microsoft.AspNetCore.Mvc;

namespace DigitServer.Requests;

/// <summary>Readers and writers of all that goes over the wire, generated when the service is compiled.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(PredictRequest))]
[JsonSerializable(typeof(Prediction))]
[JsonSerializable(typeof(ModelCard))]
[JsonSerializable(typeof(Health))]
[JsonSerializable(typeof(ProblemDetails))]
internal sealed partial class WireJson : JsonSerializerContext;
