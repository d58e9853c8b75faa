using System.Runtime.InteropServices;
using Glip.Managed;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Verification;

/// <summary>How one stage compares with its recording.</summary>
/// <param name="Name">The stage.</param>
/// <param name="Error">Largest difference, in parts of the stage's largest value.</param>
/// <param name="Allowed">What rounding may cause.</param>
/// <param name="Problem">What is wrong; null if nothing is.</param>
internal sealed record StageCheck(string Name, double Error, double Allowed, string? Problem);

/// <summary>Runs a model on a recording's picture and text and compares its stages.</summary>
internal static class ModelVerifier
{
    private const int LayersOfGlipT = 6;
    private const string IdsStage = "text.input_ids";

    /// <summary>All recorded stages in the order of computation.</summary>
    /// <param name="modelPath">A model file.</param>
    /// <param name="recording">What it should compute.</param>
    /// <param name="options">Instruction set and threads.</param>
    /// <exception cref="GlipFormatException">The model file is damaged.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static IReadOnlyList<StageCheck> Compare(string modelPath, StageRecording recording, GlipOptions? options = null)
    {
        TensorType coarsest = CoarsestType(modelPath);
        using GlipDetector detector = GlipDetector.Load(modelPath, options);
        bool large = detector.Config.NumConvs > LayersOfGlipT;
        var sink = new Sink(recording, stage => Allowed(stage, large, coarsest));
        var image = new ImageView(recording.Picture, recording.Size.Width, recording.Size.Height, PixelFormat.Bgr24);
        Prompt prompt = Prompt.FromSpans(recording.Caption, [(0, CodePoints.Count(recording.Caption))]);

        // The picture is recorded after resizing.
        detector.Trace(image, prompt, sink, new DetectOptions { MinSize = 0, MaxSize = 0, AllowTruncatedPrompt = true });
        return sink.Results();
    }

    /// <summary>
    /// What rounding may cause, in parts of a stage's largest value. In single precision: the specification's table, from an independent implementation's
    /// differences to the original. Weights of half size are rounded by 2^-12 and 2^-9 of themselves, which the network's layers multiply; what is small beside 1
    /// then has few digits left that are right, and need none: outputs are arguments of sigmoid and exp.
    /// </summary>
    internal static double Allowed(RecordedStage recorded, bool large, TensorType type)
    {
        string stage = recorded.Name;

        // P6 and P7 have few cells: a group norm over few values amplifies rounding. GLIP-L's layers accumulate more than GLIP-T's.
        bool coarse = stage.EndsWith(".P6", StringComparison.Ordinal) || stage.EndsWith(".P7", StringComparison.Ordinal);
        if (type != TensorType.F32)
            return (coarse ? 5e-2 : 2e-2) * (type == TensorType.BF16 ? 8 : 1) * Math.Max(1, 1 / recorded.Largest);
        if (!stage.StartsWith("tower.", StringComparison.Ordinal) && !stage.StartsWith("head.", StringComparison.Ordinal))
            return 1e-5;
        return coarse ? 3e-4 : large ? 1.5e-4 : 6e-5;
    }

    private static TensorType CoarsestType(string modelPath)
    {
        using ModelFile model = ModelFile.Open(modelPath);
        IReadOnlyList<(TensorType Type, int Tensors)> types = ModelSummary.Of(model).Types;
        TensorType[] byCoarseness = [TensorType.BF16, TensorType.F16];
        return byCoarseness.FirstOrDefault(type => types.Any(t => t.Type == type), TensorType.F32);
    }

    /// <summary>Compares stages as they come, so that none is kept.</summary>
    private sealed class Sink(StageRecording recording, Func<RecordedStage, double> allowed) : IStageSink
    {
        private readonly Dictionary<string, RecordedStage> _expected = recording.Stages.ToDictionary(s => s.Name, StringComparer.Ordinal);
        private readonly Dictionary<string, StageCheck> _found = new(StringComparer.Ordinal);

        public void Add(string name, TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data)
        {
            if (name == IdsStage)
            {
                ReadOnlySpan<long> ids = MemoryMarshal.Cast<byte, long>(data);
                int at = 0;
                while (at < recording.TokenIds.Length && at < ids.Length && ids[at] == recording.TokenIds[at])
                    at++;
                string? problem = at == recording.TokenIds.Length ? null : $"token {at} is another: recorded {recording.TokenIds[at]}, is this the checkpoint's vocabulary?";
                _found[name] = new StageCheck(name, problem is null ? 0 : double.PositiveInfinity, 0, problem);
            }
            else if (type == TensorType.F32 && _expected.TryGetValue(name, out RecordedStage? expected))
            {
                _found[name] = CompareStage(expected, MemoryMarshal.Cast<byte, float>(data), shape, allowed(expected));
            }
        }

        public IReadOnlyList<StageCheck> Results() =>
        [
            _found[IdsStage],
            .. recording.Stages.Select(s => _found.GetValueOrDefault(s.Name)
                ?? new StageCheck(s.Name, double.PositiveInfinity, allowed(s), "this model does not compute it")),
        ];

        private static StageCheck CompareStage(RecordedStage expected, ReadOnlySpan<float> values, ReadOnlySpan<int> shape, double allowed)
        {
            if (!shape.SequenceEqual(expected.Shape) || (long)(expected.Samples.Length - 1) * expected.Step >= values.Length)
            {
                string shapes = $"recorded {DisplayText.Shape(expected.Shape)}, computed {DisplayText.Shape(shape)}";
                return new StageCheck(expected.Name, double.PositiveInfinity, allowed, shapes);
            }

            double unit = expected.Largest > 0 ? expected.Largest : 1;
            (double Error, int Index) worst = (0, 0);
            for (int i = 0; i < expected.Samples.Length; i++)
            {
                double error = Math.Abs((double)values[i * expected.Step] - expected.Samples[i]) / unit;
                if (!(error <= worst.Error)) // NaN counts as off
                    worst = (error, i * expected.Step);
            }

            return new StageCheck(
                expected.Name,
                worst.Error,
                allowed,
                worst.Error <= allowed ? null : FormattableString.Invariant($"off by {worst.Error:0.0e+0} of its largest value at element {worst.Index}, allowed {allowed:0.0e+0}"));
        }
    }
}
