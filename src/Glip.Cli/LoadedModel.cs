using Glip.Managed;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Text;

namespace Glip.Cli;

/// <summary>The part of <see cref="GlipDetector"/> that commands use; tests put a stand-in here.</summary>
internal interface ILoadedModel : IDisposable
{
    string ModelName { get; }

    string Isa { get; }

    IReadOnlyList<Detection> Detect(ImageView image, Prompt prompt, DetectOptions options, CancellationToken cancellationToken);

    void Trace(ImageView image, Prompt prompt, IStageSink sink, DetectOptions options, float? inferenceThreshold, CancellationToken cancellationToken);
}

/// <summary>A loaded model.</summary>
internal sealed class LoadedModel(GlipDetector detector) : ILoadedModel
{
    public string ModelName => detector.ModelName;

    public string Isa => detector.Isa;

    /// <summary>Loads a model. See <see cref="GlipDetector.Load(string, GlipOptions?)"/> for errors.</summary>
    public static ILoadedModel Open(ModelReference model, GlipOptions options) =>
        new LoadedModel(model.IsDefault ? GlipDetector.LoadDefault(options) : GlipDetector.Load(model.Open(), options));

    public IReadOnlyList<Detection> Detect(ImageView image, Prompt prompt, DetectOptions options, CancellationToken cancellationToken) =>
        detector.Detect(image, prompt, options, cancellationToken);

    public void Trace(ImageView image, Prompt prompt, IStageSink sink, DetectOptions options, float? inferenceThreshold, CancellationToken cancellationToken) =>
        detector.Trace(image, prompt, sink, options, inferenceThreshold, cancellationToken);

    public void Dispose() => detector.Dispose();
}
