// Answers by a saved model: POST /answer with a JSON array of 20 numbers.
using SparseFs.CSharp;
using static TorchSharp.torch;

set_num_threads(1); // requests run beside each other

var model = Model.Make();
Checkpoints.Load(model, "model.safetensors");
model.eval();

var builder = WebApplication.CreateSlimBuilder(args);
var app = builder.Build();

app.MapPost("/answer", async (HttpContext context) =>
{
    float[] numbers = await context.Request.ReadFromJsonAsync<float[]>() ?? [];
    using var scope = NewDisposeScope();
    using var _ = no_grad();
    return Results.Json(model.forward(tensor(numbers).unsqueeze(0)).data<float>().ToArray());
});

app.Run();
