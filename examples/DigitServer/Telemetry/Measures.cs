using System;
using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Threading;
using DigitServer.Models;
using DigitServer.Requests;

namespace DigitServer.Telemetry;

/// <summary>What GET /metrics tells, in Prometheus' text. Its size is bounded: routes and codes are the service's own.</summary>
internal sealed class Measures
{
    private readonly ConcurrentDictionary<(string Route, int Code), long> _requests = new();
    private readonly ConcurrentDictionary<string, long> _refusals = new();
    private readonly Histogram _answers = new("digits_request_seconds", "From the request's headers to the end of its answer.");
    private readonly Histogram _runs = new("digits_model_seconds", "One picture in the network.");
    private long _reloads;
    private long _refusedReloads;

    public void Answered(string route, int code, TimeSpan time)
    {
        _requests.AddOrUpdate((route, code), 1, (_, n) => n + 1);
        _answers.Add(time);
    }

    public void Refused(string reason) => _refusals.AddOrUpdate(reason, 1, (_, n) => n + 1);

    public void Ran(TimeSpan time) => _runs.Add(time);

    public void Reloaded(bool isRefused) => Interlocked.Increment(ref isRefused ? ref _refusedReloads : ref _reloads);

    public string Text(ModelSlot slot, Admission admission)
    {
        var text = new StringBuilder();
        void Head(string name, string type, string help) => text.Append($"# HELP {name} {help}\n# TYPE {name} {type}\n");
        void Line(string name, long value) => text.Append(CultureInfo.InvariantCulture, $"{name} {value}\n");

        Head("digits_requests_total", "counter", "Requests that were answered.");

        foreach (var ((route, code), n) in _requests)
        {
            Line($"digits_requests_total{{route=\"{route}\",code=\"{code}\"}}", n);
        }

        Head("digits_refusals_total", "counter", "Requests that were refused, by reason.");

        foreach (var (reason, n) in _refusals)
        {
            Line($"digits_refusals_total{{reason=\"{reason}\"}}", n);
        }

        _answers.Write(text);
        _runs.Write(text);
        Head("digits_queue_length", "gauge", "Requests that wait for a worker.");
        Line("digits_queue_length", admission.Waiting);
        Head("digits_running", "gauge", "Pictures in the network now.");
        Line("digits_running", admission.Running);
        Head("digits_reloads_total", "counter", "Loads of the network's file while running.");
        Line("digits_reloads_total{result=\"loaded\"}", Volatile.Read(ref _reloads));
        Line("digits_reloads_total{result=\"refused\"}", Volatile.Read(ref _refusedReloads));
        Head("digits_model_info", "gauge", "The network that answers now.");
        var model = slot.Current.Name;
        Line($"digits_model_info{{name=\"{Escaped(model.Name)}\",hash=\"{model.Hash}\"}}", 1);
        Head("process_resident_memory_bytes", "gauge", "Resident memory.");
        Line("process_resident_memory_bytes", Environment.WorkingSet);
        Head("digits_managed_heap_bytes", "gauge", "Objects of the managed heap, dead ones included.");
        Line("digits_managed_heap_bytes", GC.GetTotalMemory(forceFullCollection: false));
        return text.ToString();
    }

    private static string Escaped(string value) => value.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n");
}
