using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Glip.Kernels;
using Glip.Managed;
using Glip.Tests;

// From here on the program does work of its own. GLIP_STARTED says in nanoseconds of Unix time when it was asked for (date +%s%N).
double started = (DateTime.UtcNow - DateTime.UnixEpoch).TotalMilliseconds;

const string Usage = """
    glip-smoke REPOSITORY [--expect ISA] [--record FILE | --against FILE]
        Detects with the default model in the sample pictures and compares with what another implementation found, then under every instruction
        set that this program has. --expect says which one must be the best.
        --record also writes what is found in a reduced picture; --against compares with such a file and detects nothing else, for emulated machines.
        Exit code 0, or 1 if anything was wrong.
    """;
const int ReducedSize = 96;

string? repository = null, expected = null, record = null, against = null;
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--expect" when i + 1 < args.Length:
            expected = args[++i];
            break;
        case "--record" when i + 1 < args.Length:
            record = args[++i];
            break;
        case "--against" when i + 1 < args.Length:
            against = args[++i];
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
Print($"{RuntimeInformation.FrameworkDescription}, {runtime}, {RuntimeInformation.ProcessArchitecture}, culture '{CultureInfo.CurrentCulture.Name}'");
Print($"instruction sets: {string.Join(' ', SimdIsas.Available.Select(SimdIsas.Name))}");
if (Environment.GetEnvironmentVariable("GLIP_STARTED") is { Length: > 0 } asked)
    Print($"start-up: {started - (double.Parse(asked, CultureInfo.InvariantCulture) / 1e6):F1} ms to the first line of the program");

IReadOnlyList<StoredDetections> stored = against is null ? StoredDetections.ReadReference(repository) : StoredDetections.Read(against);
long start = Stopwatch.GetTimestamp();
using (GlipDetector detector = GlipDetector.LoadDefault())
{
    Print($"model loaded in {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms");
    if (Environment.GetEnvironmentVariable("GLIP_EXPECT_CULTURE") is { Length: > 0 } culture)
        Check($"culture {CultureInfo.CurrentCulture.Name}", culture == CultureInfo.CurrentCulture.Name ? null : $"expected {culture}");
    Check($"instruction set {detector.Isa}", expected is null || expected == detector.Isa ? null : $"expected {expected}");
    foreach (StoredDetections scene in stored)
    {
        start = Stopwatch.GetTimestamp();
        CheckDetections($"{scene.Image} in {runtime}", scene, detector);
        if (scene == stored[0])
            Print($"first picture in {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms; {Memory()}");
    }

    if (record is not null)
        stored[0].Write(record, detector, repository, ReducedSize);
    if (against is null)
    {
        long allocated = stored[0].RepeatedAllocation(detector, repository);
        Check("a repeated call allocates 0 bytes beyond its results", allocated == 0 ? null : $"{allocated} bytes");
    }
}

// A set that this program has can be asked for by name, and no other.
foreach (SimdIsa isa in SimdIsas.All)
{
    if (against is not null && SimdIsas.IsSupported(isa))
        continue;
    try
    {
        using GlipDetector detector = GlipDetector.LoadDefault(new GlipOptions { Isa = isa.Name(), Threads = 1 });
        if (SimdIsas.IsSupported(isa) && detector.Isa == isa.Name())
            CheckDetections($"forced to {isa.Name()}", stored[0], detector);
        else
            Check($"forced to {isa.Name()}", $"{detector.Isa} is in force");
    }
    catch (PlatformNotSupportedException e)
    {
        Check($"forced to {isa.Name()}: refused", SimdIsas.IsSupported(isa) ? e.Message : null);
    }
}

Print($"{Memory()}");
Print($"{passed} passed, {failed} failed");
return failed == 0 ? 0 : 1;

void CheckDetections(string what, StoredDetections scene, GlipDetector detector)
{
    DetectionComparison comparison = scene.Compare(detector, repository);
    Check($"{what}: {comparison.Matched} detections", comparison.IsMatch && comparison.Matched > 0 ? null : comparison.ToString());
}

void Check(string what, string? problem)
{
    if (problem is null)
    {
        passed++;
        Print($"ok: {what}");
    }
    else
    {
        failed++;
        Print($"FAILED: {what}: {problem}");
    }
}

static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

// What the operating system counts, where it says so in a file.
static string Memory()
{
    if (!File.Exists("/proc/self/status"))
        return string.Create(CultureInfo.InvariantCulture, $"memory {Environment.WorkingSet / 1e6:F1} MB");
    string[] lines = File.ReadAllLines("/proc/self/status");
    string Line(string name) => lines.FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?[name.Length..].Trim() ?? "unknown";
    return $"memory now {Line("VmRSS:")} (anonymous {Line("RssAnon:")}), peak {Line("VmHWM:")}; managed heap {GC.GetTotalMemory(false) / 1024} kB";
}
