using Glip.Cli;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Managed.Tests.Cli;

/// <summary>Stands in for a loaded model: reports given detections and remembers what it was asked.</summary>
internal sealed class FakeModel : ILoadedModel
{
    public IReadOnlyList<Detection> Detections { get; init; } = [];

    public Action? OnDetect { get; init; }

    public Prompt? Prompt { get; private set; }

    public DetectOptions? Options { get; private set; }

    public float? InferenceThreshold { get; private set; }

    public (int Width, int Height) ImageSize { get; private set; }

    public bool IsDisposed { get; private set; }

    public string ModelName => "fake";

    public string Isa => "scalar";

    public IReadOnlyList<Detection> Detect(ImageView image, Prompt prompt, DetectOptions options, CancellationToken cancellationToken)
    {
        Remember(image, prompt, options);
        OnDetect?.Invoke();
        cancellationToken.ThrowIfCancellationRequested();
        return Detections;
    }

    public void Trace(ImageView image, Prompt prompt, IStageSink sink, DetectOptions options, float? inferenceThreshold, CancellationToken cancellationToken)
    {
        Remember(image, prompt, options);
        InferenceThreshold = inferenceThreshold;
        sink.Add("pre.resized_u8", TensorType.U8, [1, 2, 3], [1, 2, 3, 4, 5, 6]);
        sink.Add("scores", TensorType.F32, [0], []);
        sink.Add("scale", TensorType.F32, [1], BitConverter.GetBytes(1.5f));
    }

    public void Dispose() => IsDisposed = true;

    private void Remember(ImageView image, Prompt prompt, DetectOptions options)
    {
        ImageSize = (image.Width, image.Height);
        Prompt = prompt;
        Options = options;
    }
}
