using System.Diagnostics;
using Glip.Fuzzing;
using Glip.Managed;
using Glip.Managed.Weights;
using Glip.Tests.Weights;
using Glip.WeightsTools;
using Glip.WeightsTools.Tensors;

namespace Glip.Weights.Fuzz;

/// <summary>
/// Reads damaged and malicious files. Beside what <see cref="DamageRun"/> checks, the command must leave exit code 0 or 1, at most one line of error, and no file after a
/// failure.
/// </summary>
internal sealed class FuzzRun : IDisposable
{
    private const long MaxMaliciousMemory = 250 << 20;
    private const int CommandEvery = 50;

    private readonly TempFolder _folder = new();
    private readonly TensorRounder _rounder = new();
    private readonly string _config;
    private readonly string _vocabulary;

    public FuzzRun()
    {
        _config = _folder.Write("config.json", TinyModel.Config.ToJson());
        _vocabulary = _folder.Write("vocab.txt", TinyModel.VocabularyBytes);
    }

    private string Source => _folder.File("x.pth");

    private string Target => _folder.File("out.safetensors");

    public void Dispose() => _folder.Dispose();

    /// <inheritdoc cref="DamageRun.Execute"/>
    public Task<int> ReadDamaged(int first, int count, TextWriter output)
    {
        var files = new DamagedFiles();
        return DamageRun.Execute(
            first, count, $"{files.Seeds} files",
            number =>
            {
                byte[] bytes = files.Create(number);
                _folder.Write("x.pth", bytes);
                return bytes;
            },
            (_, bytes) => ReadAll(bytes),
            output,
            async number => number % CommandEvery == 0 ? (await RunCommand()).Failure : null);
    }

    /// <returns>0 if all are refused for their reason and nothing was run, otherwise 1.</returns>
    public async Task<int> RefuseMalicious(TextWriter output)
    {
        string trace = _folder.File("harm");
        (int count, int failures) = (0, 0);
        foreach (MaliciousFile file in MaliciousFiles.All($"touch {trace}"))
        {
            count++;
            _folder.Write("x.pth", file.Bytes);
            long allocatedBefore = GC.GetTotalAllocatedBytes(precise: true);
            long start = Stopwatch.GetTimestamp();
            (int code, string error, string? failure) = await RunCommand();
            if (code != 1)
                failure ??= $"exit code {code}";
            if (!error.Contains(file.Reason, StringComparison.Ordinal))
                failure ??= $"expected a message with {file.Reason}, found: {error}";
            if (GC.GetTotalAllocatedBytes(precise: true) - allocatedBefore is > MaxMaliciousMemory and var allocated)
                failure ??= $"allocated {allocated} bytes";
            if (Stopwatch.GetElapsedTime(start).TotalSeconds > 10)
                failure ??= "took more than 10 s";
            if (File.Exists(trace))
                failure ??= "it was run";
            if (failure is null)
                continue;
            failures++;
            output.WriteLine($"{file.Name}: {failure}");
        }

        output.WriteLine($"{count} malicious files: {count - failures} refused with the reason named, {failures} failures");
        return failures == 0 ? 0 : 1;
    }

    /// <summary>Writes the malicious files to a folder, for other programs and for measurements from outside.</summary>
    public static void WriteMalicious(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach ((MaliciousFile file, int number) in MaliciousFiles.All("touch /tmp/harm").Select((f, i) => (f, i)))
            File.WriteAllBytes(Path.Combine(folder, $"{number:000}.pth"), file.Bytes);
    }

    /// <summary>All that the tools do with a file: its tensors one by one, what its shapes say, and what the library makes of it.</summary>
    private void ReadAll(byte[] bytes)
    {
        using TensorFile file = MmdetTensors.OrOriginal(TensorFile.Open(Source));
        foreach (string name in file.Names)
        {
            file.TryDescribe(name, out TensorType type, out int[] shape);
            using Stream elements = file.OpenTensor(name);
            if (type.IsFloating())
                _rounder.Convert(elements, type, type.ByteCount(shape) / type.ByteSize(), TensorType.F16, name, _ => { });
            else
                elements.CopyTo(Stream.Null);
        }

        try
        {
            _ = ConfigInference.Infer(file);
        }
        catch (GlipFormatException)
        {
            // of the tiny model, shapes never say enough
        }

        if (file is not SafetensorsTensors)
            return;
        var model = ModelFile.FromMemory(bytes, "x");
        if (model.Packed is null)
            model.Dispose();
        else
            GlipDetector.Load(model, new GlipOptions { Isa = "scalar", Threads = 1 }).Dispose();
    }

    private async Task<(int Code, string Error, string? Failure)> RunCommand()
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        string? failure = null;
        int code = -1;
        try
        {
            code = await WeightsCommandLine.RunAsync(["convert", Source, "--config", _config, "--vocab", _vocabulary, "--out", Target], output, error);
        }
        catch (Exception e)
        {
            failure = e.ToString();
        }

        string text = error.ToString();
        if (code is not (0 or 1))
            failure ??= $"exit code {code}: {text}";
        if (text.Count(c => c == '\n') != code)
            failure ??= $"exit code {code} with {text.Count(c => c == '\n')} lines of error";
        if (code == 1 && Directory.GetFiles(Path.GetDirectoryName(Target)!, "out*").Length > 0)
            failure ??= "a file was left";
        File.Delete(Target);
        return (code, text, failure);
    }
}
