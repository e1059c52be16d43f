using System;
using System.Buffers;
using System.Buffers.Binary;
using System.IO;
using System.Text.Json;
using System.Threading.Tasks;
using DigitServer.Models;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace DigitServer.Requests;

/// <summary>From the body of a request to 784 numbers in 0..1, or to a word on what is wrong with it.</summary>
internal static class PixelReader
{
    private const int Pixels = ServedModel.Pixels;

    private delegate float[] Parser(ReadOnlySpan<byte> body);

    /// <param name="most">Bytes that a body may have.</param>
    /// <exception cref="RefusedException">The media type is another one (415), the body is larger (413) or no picture (400).</exception>
    /// <exception cref="BadHttpRequestException">The body came too slowly, or was cut off.</exception>
    public static async Task<float[]> Read(HttpRequest request, int most)
    {
        var parse = ParserOf(request);

        if (request.ContentLength > most)
        {
            throw TooLarge(most);
        }

        // One byte more shows that there was more.
        var size = (int)(request.ContentLength ?? most) + 1;
        var room = ArrayPool<byte>.Shared.Rent(size);

        try
        {
            var length = await request.Body.ReadAtLeastAsync(room.AsMemory(0, size), size, throwOnEndOfStream: false, request.HttpContext.RequestAborted);
            return length <= most ? parse(room.AsSpan(0, length)) : throw TooLarge(most);
        }
        catch (BadHttpRequestException e) when (e.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            throw TooLarge(most);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(room);
        }
    }

    private static RefusedException TooLarge(int most) =>
        new(StatusCodes.Status413PayloadTooLarge, "too_large", $"expected a body of at most {most} bytes, got more: send the 784 pixels of one picture");

    private static RefusedException Bad(string message) => new(StatusCodes.Status400BadRequest, "bad_pixels", message);

    private static Parser ParserOf(HttpRequest request)
    {
        if (MediaTypeHeaderValue.TryParse(request.ContentType, out var type))
        {
            if (type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase))
            {
                return OfJson;
            }

            if (type.MediaType.Equals("application/octet-stream", StringComparison.OrdinalIgnoreCase))
            {
                return OfBytes;
            }
        }

        throw new RefusedException(
            StatusCodes.Status415UnsupportedMediaType,
            "media_type",
            $"expected application/json or application/octet-stream, got {(request.ContentType is { Length: > 0 } got ? $"'{got}'" : "no Content-Type")}");
    }

    private static float[] OfJson(ReadOnlySpan<byte> body)
    {
        try
        {
            var pixels = JsonSerializer.Deserialize(body, WireJson.Default.PredictRequest)?.Pixels;
            return Checked(pixels ?? throw Bad("""expected {"pixels": [784 numbers in 0..1]}, got null"""));
        }
        catch (JsonException e)
        {
            throw Bad($$"""expected {"pixels": [784 numbers in 0..1]}; {{e.Message}}""");
        }
    }

    private static float[] OfBytes(ReadOnlySpan<byte> body)
    {
        var pixels = new float[Pixels];

        switch (body.Length)
        {
            case Pixels:
                for (var i = 0; i < Pixels; i++)
                {
                    pixels[i] = body[i] / 255f;
                }

                return pixels;

            case Pixels * sizeof(float):
                for (var i = 0; i < Pixels; i++)
                {
                    pixels[i] = BinaryPrimitives.ReadSingleLittleEndian(body[(i * sizeof(float))..]);
                }

                return Checked(pixels);

            default:
                throw Bad($"expected {Pixels} bytes, or {Pixels * sizeof(float)} of float32 in little-endian order, got {body.Length}");
        }
    }

    private static float[] Checked(float[] pixels)
    {
        if (pixels.Length != Pixels)
        {
            throw Bad($"expected {Pixels} pixels, got {pixels.Length}");
        }

        // What is not a number is in no range.
        var wrong = Array.FindIndex(pixels, p => !(p >= 0f && p <= 1f));
        return wrong < 0 ? pixels : throw Bad(FormattableString.Invariant($"expected pixels in 0..1, got {pixels[wrong]} at {wrong}"));
    }
}
