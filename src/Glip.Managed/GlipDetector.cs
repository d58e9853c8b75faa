using System.Collections.Concurrent;
using Glip.Kernels;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Memory;
using Glip.Managed.Model;
using Glip.Managed.Postprocessing;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Managed;

/// <summary>
/// Finds the phrases of a prompt in pictures: GLIP (Li et al., Grounded Language-Image Pre-training, CVPR 2022) from pixels and text to boxes.
/// </summary>
/// <remarks>
/// Safe to use from many threads: concurrent calls each have their own memory and share the weights and the worker threads. A second call of the same picture
/// size and prompt allocates only its results.
/// </remarks>
/// <example>
/// <code>
/// using var detector = GlipDetector.LoadDefault();
/// foreach (Detection found in detector.Detect(new ImageView(rgb, width, height, PixelFormat.Rgb24), "red apple . bicycle"))
///     Console.WriteLine($"{found.Phrase.Text} {found.Score:P0} {found.Box}");
/// </code>
/// </example>
public sealed class GlipDetector : IDisposable
{
    private const string DefaultModelFile = "models/glip-nano.safetensors";

    private readonly GlipModel _model;
    private readonly WeightStore _weights;
    private readonly EncodedPrompts _prompts;
    private readonly TextCache _texts;
    private readonly AtssPostProcessor _postProcessor;
    private readonly WorkerPool _pool;
    private readonly SimdIsa _isa;
    private readonly GlipOptions _options;
    private readonly ConcurrentBag<DetectorSession> _idle = [];
    private volatile bool _disposed;

    private GlipDetector(WeightSource weights, GlipOptions options)
    {
        Endianness.RequireLittle(BitConverter.IsLittleEndian);
        ArgumentOutOfRangeException.ThrowIfNegative(options.Threads, nameof(options) + "." + nameof(options.Threads));
        ArgumentOutOfRangeException.ThrowIfNegative(options.MaxTextCacheBytes, nameof(options) + "." + nameof(options.MaxTextCacheBytes));
        _isa = options.Set;
        _options = options;
        ModelName = weights.Name;
        Config = weights.Config;
        var vocabulary = Text.Vocabulary.Parse(weights.Vocabulary.Span, weights.Name);
        if (vocabulary.Count > Config.Bert.VocabularySize)
        {
            throw new GlipFormatException(
                $"{weights.Name}: the vocabulary has {vocabulary.Count} tokens, the model has embeddings for {Config.Bert.VocabularySize}");
        }

        _prompts = new EncodedPrompts(new WordPieceTokenizer(vocabulary), Config.MaxQueryLength);
        _texts = new TextCache(options.MaxTextCacheBytes);
        _postProcessor = new AtssPostProcessor(AtssSettings.Of(Config));
        _weights = new WeightStore(weights, _isa, options.WidenWeights);
        _pool = new WorkerPool(options.Threads == 0 ? Environment.ProcessorCount : options.Threads);
        try
        {
            using var kernels = new KernelContext(_isa, _pool);
            _model = new GlipModel(weights, kernels, _weights, options.FusionOrder);
        }
        catch
        {
            _pool.Dispose();
            _weights.Dispose();
            throw;
        }

        if (!_weights.IsPacked)
            weights.Dispose();
    }

    /// <summary>What messages call the model: its path, or <c>procedural:glip-t:77</c>.</summary>
    public string ModelName { get; }

    /// <summary>Sizes and defaults of the model.</summary>
    public GlipConfig Config { get; }

    /// <summary>The instruction set in force: <c>avx512</c>.</summary>
    public string Isa => _isa.Name();

    /// <summary>Threads that one call may use, the caller's included.</summary>
    public int Threads => _pool.Workers;

    /// <summary>Where the weights are and how many bytes they take.</summary>
    public WeightBytes Weights => _weights.Bytes;

    /// <summary>What the text encoder made of recent prompts.</summary>
    internal TextCache Texts => _texts;

    /// <summary>Memory kept for the next calls, in bytes, without that of calls that are running and of <see cref="Texts"/>.</summary>
    internal long ReservedBytes => _idle.Sum(session => session.ReservedBytes);

    /// <summary>Loads a model file (safetensors, made by <c>glip-weights convert</c>, or packed for an instruction set by <c>glip-weights pack</c>).</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Instruction set, threads, memory limit; null for defaults.</param>
    /// <exception cref="FileNotFoundException">No such file.</exception>
    /// <exception cref="GlipFormatException">Not a model file, damaged, or its tensors do not fit its configuration.</exception>
    /// <exception cref="ArgumentException">An unknown instruction set, or <see cref="GlipOptions.Deterministic"/> with one that is not.</exception>
    /// <exception cref="PlatformNotSupportedException">An instruction set that this process cannot run, or a big-endian processor.</exception>
    /// <exception cref="InsufficientMemoryException">The weights do not fit into the memory that the process may have.</exception>
    public static GlipDetector Load(string path, GlipOptions? options = null) => Load(ModelFile.Open(path), options);

    /// <summary>Builds a model from any source of weights, which becomes the detector's to dispose of: at once, because everything needed is copied, unless it is a
    /// packed model file, which is used where it lies until the detector is disposed.</summary>
    /// <param name="weights">Configuration, vocabulary and tensors.</param>
    /// <param name="options">Instruction set, threads, memory limit; null for defaults.</param>
    /// <exception cref="GlipFormatException">The tensors do not fit the configuration, or are packed for another instruction set.</exception>
    public static GlipDetector Load(WeightSource weights, GlipOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(weights);
        try
        {
            return new GlipDetector(weights, options ?? new GlipOptions());
        }
        catch (OutOfMemoryException e)
        {
            weights.Dispose();
            throw new InsufficientMemoryException(
                $"{weights.Name}: its weights do not fit into memory: the process may have {MemoryLimit.Bytes} bytes in all; raise its limit or choose a smaller model", e);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Loads the small model that comes with the library (see <c>models/README.md</c> for what it knows).</summary>
    /// <param name="options">Instruction set, threads, memory limit; null for defaults.</param>
    /// <exception cref="FileNotFoundException">The model file was not deployed beside the program.</exception>
    public static GlipDetector LoadDefault(GlipOptions? options = null) => LoadDefault(AppContext.BaseDirectory, options);

    /// <summary>Finds the prompt's phrases in a picture.</summary>
    /// <param name="image">Pixels in any supported channel order.</param>
    /// <param name="prompt">Phrases, or a sentence such as <c>"person . red car . umbrella"</c>.</param>
    /// <param name="options">Threshold and sizes; null for the model's defaults.</param>
    /// <param name="cancellationToken">Ends the call early, within milliseconds.</param>
    /// <returns>Detections above the threshold, best first. May be empty.</returns>
    /// <remarks>
    /// A list of phrases that is longer than the model reads at once (256 tokens) is split between phrases into chunks of as many as fit. Each chunk is
    /// detected for itself, with the image's features computed once, and the best <see cref="DetectOptions.MaxDetections"/> of all are returned, as the
    /// original evaluates large vocabularies. Models without deep fusion look at the picture once for all chunks.
    /// </remarks>
    /// <exception cref="ArgumentException">The picture is too large after resizing, a phrase is too long, an option is out of range, or the call needs more
    /// memory than <see cref="GlipOptions.MaxWorkspaceBytes"/> allows.</exception>
    /// <exception cref="InsufficientMemoryException">The call needs more memory than the process may have, as under a limit on its heap; the detector goes on to serve
    /// smaller calls.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public IReadOnlyList<Detection> Detect(ImageView image, Prompt prompt, DetectOptions? options = null, CancellationToken cancellationToken = default)
    {
        DetectorSession session = Rent(cancellationToken);
        try
        {
            return session.Detect(image, prompt, options ?? DetectorSession.DefaultOptions);
        }
        finally
        {
            Return(session);
        }
    }

    /// <summary>Finds objects of any number of names in a picture; see the overload that takes a prompt.</summary>
    /// <param name="image">Pixels in any supported channel order.</param>
    /// <param name="labels">Names, used as they are: label i + 1 of the detections is <c>labels[i]</c>. For many calls with the same names,
    /// <see cref="Prompt.FromCategories"/> makes a prompt of them that is read only once.</param>
    /// <param name="options">Threshold and sizes; null for the model's defaults.</param>
    /// <param name="cancellationToken">Ends the call early, within milliseconds.</param>
    /// <returns>Detections above the threshold, best first. May be empty.</returns>
    /// <exception cref="ArgumentException">No name or a blank one, or as with a prompt.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public IReadOnlyList<Detection> Detect(
        ImageView image, IReadOnlyList<string> labels, DetectOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(labels);
        return Detect(image, Prompt.FromCategories(labels), options, cancellationToken);
    }

    /// <summary>Computes what no prompt changes, to ask a picture for several.</summary>
    /// <param name="image">Pixels in any supported channel order. Not needed afterwards.</param>
    /// <param name="options">Sizes; null for the model's defaults. The rest is not used.</param>
    /// <param name="cancellationToken">Ends the call early, within milliseconds.</param>
    /// <returns>The features, <see cref="ImageFeatures.Bytes"/> in size, which are not counted in <see cref="GlipOptions.MaxWorkspaceBytes"/>. Only this detector
    /// can use them.</returns>
    /// <exception cref="ArgumentException">The picture is too large after resizing, an option is out of range, or the call needs more memory than
    /// <see cref="GlipOptions.MaxWorkspaceBytes"/> allows.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public ImageFeatures Encode(ImageView image, DetectOptions? options = null, CancellationToken cancellationToken = default)
    {
        DetectorSession session = Rent(cancellationToken);
        try
        {
            return session.Encode(image, options ?? DetectorSession.DefaultOptions);
        }
        finally
        {
            Return(session);
        }
    }

    /// <summary>Finds the prompt's phrases in a picture that was encoded before: what <c>Detect</c> with the picture finds, to the bit.</summary>
    /// <param name="features">Of <see cref="Encode"/> of this detector. Not changed.</param>
    /// <param name="prompt">Phrases, or a sentence such as <c>"person . red car . umbrella"</c>.</param>
    /// <param name="options">Threshold and limits; null for the model's defaults. Sizes are those of <see cref="Encode"/>.</param>
    /// <param name="cancellationToken">Ends the call early, within milliseconds.</param>
    /// <returns>Detections above the threshold, best first, in pixels of the picture. May be empty.</returns>
    /// <exception cref="ArgumentException">Features of another detector, a phrase is too long, an option is out of range, or the call needs more memory than
    /// <see cref="GlipOptions.MaxWorkspaceBytes"/> allows.</exception>
    /// <exception cref="ObjectDisposedException">The features or the detector were disposed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public IReadOnlyList<Detection> Detect(ImageFeatures features, Prompt prompt, DetectOptions? options = null, CancellationToken cancellationToken = default)
    {
        DetectorSession session = Rent(cancellationToken);
        try
        {
            return session.Detect(features, prompt, options ?? DetectorSession.DefaultOptions);
        }
        finally
        {
            Return(session);
        }
    }

    /// <summary>Finds phrases in several pictures, one after the other. A picture that comes several times is encoded once, a prompt's text too.</summary>
    /// <param name="images">Pictures of any sizes.</param>
    /// <param name="prompts">A prompt for each picture, or one for all.</param>
    /// <param name="options">Threshold and sizes; null for the model's defaults.</param>
    /// <param name="cancellationToken">Ends the call early, within milliseconds.</param>
    /// <returns>Entry i: the detections of <c>images[i]</c>, as <c>Detect</c> finds them, to the bit.</returns>
    /// <exception cref="ArgumentException">Neither one prompt nor one a picture, or as with one picture.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public IReadOnlyList<IReadOnlyList<Detection>> DetectBatch(
        IReadOnlyList<ImageMemory> images, IReadOnlyList<Prompt> prompts, DetectOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(prompts);
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (prompts.Count != 1 && prompts.Count != images.Count)
            throw new ArgumentException($"expected one prompt, or one for each of the {images.Count} pictures, found {prompts.Count}", nameof(prompts));

        var results = new IReadOnlyList<Detection>[images.Count];
        foreach (IGrouping<ImageMemory, int> same in Enumerable.Range(0, images.Count).GroupBy(i => images[i]))
        {
            int[] indices = [.. same];
            if (indices is [int only])
            {
                results[only] = Detect(same.Key.View, PromptOf(only), options, cancellationToken);
                continue;
            }

            using ImageFeatures features = Encode(same.Key.View, options, cancellationToken);
            foreach (int i in indices)
                results[i] = Detect(features, PromptOf(i), options, cancellationToken);
        }

        return results;

        Prompt PromptOf(int image) => prompts[prompts.Count == 1 ? 0 : image];
    }

    /// <summary>Runs a detection and hands the result of every stage to <paramref name="sink"/>, under the names and in the layouts of the original.</summary>
    /// <param name="image">Pixels in any supported channel order.</param>
    /// <param name="prompt">Phrases. A prompt that is longer than the model reads is not split here.</param>
    /// <param name="sink">Receives all stages.</param>
    /// <param name="options">Sizes; null for the model's defaults. The threshold is not used: <c>final.*</c> holds all detections.</param>
    /// <param name="inferenceThreshold">Replaces the class probability that a candidate must exceed (0.05), or null.</param>
    /// <param name="cancellationToken">Ends the call early.</param>
    public void Trace(
        ImageView image, Prompt prompt, IStageSink sink, DetectOptions? options = null, float? inferenceThreshold = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sink);
        DetectorSession session = Rent(cancellationToken);
        try
        {
            session.Trace(image, prompt, options ?? DetectorSession.DefaultOptions, inferenceThreshold, new StageTrace(sink));
        }
        finally
        {
            Return(session);
        }
    }

    /// <summary>Detects and says what each part of the network cost, the text encoder included, whether or not its result is kept.</summary>
    internal IReadOnlyList<StageCost> Profile(ImageView image, Prompt prompt, DetectOptions options)
    {
        DetectorSession session = Rent(CancellationToken.None);
        try
        {
            StageProfile profile = session.StartProfile();
            session.Detect(image, prompt, options);
            return profile.Stages;
        }
        finally
        {
            Return(session);
        }
    }

    /// <summary>Activation and scratch memory that a detection needs, in bytes, without <see cref="GlipOptions.MaxTextCacheBytes"/>.</summary>
    /// <param name="height">Rows of the picture.</param>
    /// <param name="width">Columns of the picture.</param>
    /// <param name="prompt">Phrases.</param>
    /// <param name="options">Sizes; null for the model's defaults.</param>
    public long WorkspaceBytes(int height, int width, Prompt prompt, DetectOptions? options = null)
    {
        DetectorSession session = Rent(CancellationToken.None);
        try
        {
            return session.PlanBytes(height, width, prompt, options ?? DetectorSession.DefaultOptions);
        }
        finally
        {
            Return(session);
        }
    }

    /// <summary><see cref="LoadDefault(GlipOptions?)"/> for a program in <paramref name="programFolder"/>.</summary>
    internal static GlipDetector LoadDefault(string programFolder, GlipOptions? options)
    {
        string path = Path.Combine(programFolder, DefaultModelFile);
        if (!File.Exists(path))
        {
            throw new FileNotFoundException(
                $"the default model is not beside the program: copy {DefaultModelFile} into {programFolder}, or load another model by its path", path);
        }

        return Load(path, options);
    }

    /// <summary>Ends the worker threads and frees the memory; that of the weights after the last call that is running. No call may begin.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        EndIdle();
        _pool.Dispose();
        _weights.Dispose();
    }

    private DetectorSession Rent(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        cancellationToken.ThrowIfCancellationRequested();
        if (!_idle.TryTake(out DetectorSession? session))
            session = new DetectorSession(_model, _prompts, _texts, _postProcessor, _isa, _pool, _options);
        bool held = false;
        _weights.DangerousAddRef(ref held);
        session.Begin(cancellationToken);
        return session;
    }

    private void Return(DetectorSession session)
    {
        session.End();
        _idle.Add(session);
        if (_disposed)
            EndIdle(); // the detector was disposed during the call
        _weights.DangerousRelease();
    }

    private void EndIdle()
    {
        while (_idle.TryTake(out DetectorSession? session))
            session.Dispose();
    }
}
