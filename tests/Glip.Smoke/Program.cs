using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Imaging.Codecs;
using Glip.Tests;

// From here on the program does work of its own; GLIP_STARTED says in nanoseconds of Unix time when it was asked for (date +%s%N).
double started = (DateTime.UtcNow - DateTime.UnixEpoch).TotalMilliseconds;

const string Usage = """
    glip-smoke REPOSITORY [--expect ISA] [--quick]
        Detects with the default model in the sample pictures and compares with what another implementation found, then under every instruction
        set that this program has. --expect says which one must be the best; --quick detects once, for emulated machines. Exit code 0, or 1 if
        anything was wrong.
    """;

string? repository = null, expected = null;
bool quick = false;
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--expect" when i + 1 < args.Length:
            expected = args[++i];
            break;
        case "--quick":
            quick = true;
            break;
        case { } path when repository is null && Directory.Exists(path):
            repository = path;
            break;
        default:
            Console.Error.WriteLine(Usage);
            return 2;
    }
}

if (repository is null)
{
    Console.Error.WriteLine(Usage);
    return 2;
}

int passed = 0, failed = 0;
string runtime = RuntimeFeature.IsDynamicCodeSupported ? "JIT" : "NativeAOT";
Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
    $"{RuntimeInformation.FrameworkDescription}, {runtime}, {RuntimeInformation.ProcessArchitecture}, culture {CultureInfo.CurrentCulture.Name}; sets: {string.Join(' ', SimdIsas.Available.Select(SimdIsas.Name))}"));
if (Environment.GetEnvironmentVariable("GLIP_STARTED") is { Length: > 0 } asked)
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"start-up: {started - (double.Parse(asked, CultureInfo.InvariantCulture) / 1e6):F1} ms to the first line of the program"));

StoredDetections[] stored = [.. StoredDetections.Read(repository).Take(quick ? 1 : int.MaxValue)];
long loading = Stopwatch.GetTimestamp();
using (GlipDetector detector = GlipDetector.LoadDefault())
{
    double loadMs = Stopwatch.GetElapsedTime(loading).TotalMilliseconds;
    long detecting = Stopwatch.GetTimestamp();
    Check($"instruction set {detector.Isa}", expected is null || expected == detector.Isa ? null : $"expected {expected}");
    foreach (StoredDetections scene in stored)
    {
        DetectionComparison comparison = scene.Compare(detector);
        Check($"{Path.GetFileName(scene.Image)}: {comparison.Matched} detections", Problem(comparison));
        if (scene == stored[0])
        {
            double first = Stopwatch.GetElapsedTime(detecting).TotalMilliseconds;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"model loaded in {loadMs:F0} ms, first picture in {first:F0} ms; {Memory()}"));
        }
    }

    if (!quick)
        CheckAllocation(detector);
}

foreach (SimdIsa isa in SimdIsas.All)
{
    if (!quick || !SimdIsas.IsSupported(isa))
        CheckForced(isa);
}

Console.WriteLine(Memory());
Console.WriteLine($"{passed} passed, {failed} failed");
return failed == 0 ? 0 : 1;

void Check(string what, string? problem)
{
    if (problem is null)
        passed++;
    else
        failed++;
    Console.WriteLine(problem is null ? $"ok: {what}" : $"FAILED: {what}: {problem}");
}

// A call that reports nothing has nothing to allocate.
void CheckAllocation(GlipDetector detector)
{
    DecodedImage picture = ImageFile.Read(stored[0].Image);
    var nothing = new DetectOptions { Threshold = 1, MinSize = 0, MaxSize = 0 };
    detector.Detect(picture.View, stored[0].Prompt, nothing);
    long least = long.MaxValue;
    for (int i = 0; i < 5 && least > 0; i++)
    {
        long before = GC.GetTotalAllocatedBytes(precise: true);
        detector.Detect(picture.View, stored[0].Prompt, nothing);
        least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
    }

    Check("a repeated call allocates 0 bytes", least == 0 ? null : $"it allocated {least}");
}

// A set that this program has can be asked for by name, and no other.
void CheckForced(SimdIsa isa)
{
    try
    {
        using GlipDetector detector = GlipDetector.LoadDefault(new GlipOptions { Isa = isa.Name(), Threads = 1 });
        string? problem = SimdIsas.IsSupported(isa) ? Problem(stored[0].Compare(detector)) : "was not refused";
        Check($"forced to {isa.Name()}: {detector.Isa}", detector.Isa == isa.Name() ? problem : "another set is in force");
    }
    catch (PlatformNotSupportedException e)
    {
        Check($"forced to {isa.Name()}: refused", SimdIsas.IsSupported(isa) ? e.Message : null);
    }
}

static string? Problem(DetectionComparison comparison) =>
    comparison.IsMatch && comparison.Matched > 0 ? null : comparison.ToString();

// What the operating system counts, where it says so in a file.
static string Memory()
{
    if (!File.Exists("/proc/self/status"))
        return string.Create(CultureInfo.InvariantCulture, $"memory {Environment.WorkingSet / 1e6:F1} MB");
    string[] lines = File.ReadAllLines("/proc/self/status");
    string Line(string name) => lines.FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?[name.Length..].Trim() ?? "unknown";
    return $"memory now {Line("VmRSS:")} (anonymous {Line("RssAnon:")}), peak {Line("VmHWM:")}; managed heap {GC.GetTotalMemory(false) / 1024} kB";
}
