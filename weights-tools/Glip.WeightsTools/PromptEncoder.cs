using System.Numerics.Tensors;
using System.Text;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Memory;
using Glip.Managed.Model;
using Glip.Managed.Model.Bert;
using Glip.Managed.Text;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools;

/// <summary>Computes the text encoder's output for prompts, to be stored in a model without it.</summary>
internal static class PromptEncoder
{
    /// <summary>Computes with the weights as they would be stored, so that the model without encoder gives what the one with it gives.</summary>
    /// <param name="source">The checkpoint, whose shapes were checked.</param>
    /// <param name="config">The model's sizes.</param>
    /// <param name="vocabulary">The model's vocabulary.</param>
    /// <param name="type">Precision of the stored weights.</param>
    /// <param name="promptsPath">A text file with a prompt a line, or a prompt file, whose tuning is then part of the result.</param>
    /// <exception cref="GlipFormatException">The file has no prompts, or one that the model cannot read.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static IReadOnlyList<PromptRows> Encode(TensorFile source, GlipConfig config, byte[] vocabulary, TensorType type, string promptsPath)
    {
        IReadOnlyList<Prompt> prompts = ReadPrompts(promptsPath);
        var tokenizer = new WordPieceTokenizer(Vocabulary.Parse(vocabulary, source.Path));
        EncodedPrompt[] encoded = [.. prompts.Select(prompt => EncodedPrompt.Encode(prompt, tokenizer, config.MaxQueryLength))];
        foreach (EncodedPrompt prompt in encoded)
        {
            if (prompt.TruncatedLabels.Count > 0)
                throw Bad(prompt, $"has {prompt.UntruncatedCount} tokens, the model reads {config.MaxQueryLength}");
            if (prompt.Prompt.Tuning is { } tuning && (tuning.Width != config.Bert.HiddenSize || !prompt.Ids.Span.SequenceEqual(tuning.TokenIds)))
                throw Bad(prompt, "was tuned for another model");
        }

        using var pool = new WorkerPool(Environment.ProcessorCount);
        using var kernels = new KernelContext(SimdIsas.Best, pool);
        using var weights = new RoundedWeights(source, config, vocabulary, type);
        var encoder = new BertEncoder(new WeightReader(weights, kernels).Under(BertEncoder.Prefix), config.Bert);
        return [.. encoded.Select(prompt => PromptRows.Of(prompt, config.Bert.HiddenSize, Run(encoder, kernels, pool, prompt, config.Bert.HiddenSize)))];

        GlipFormatException Bad(EncodedPrompt prompt, string what) => new($"{promptsPath}: prompt {DisplayText.Quote(prompt.Prompt.Caption)} {what}");
    }

    private static float[] Run(BertEncoder encoder, KernelContext kernels, WorkerPool pool, EncodedPrompt prompt, int width)
    {
        var hidden = new float[prompt.Ids.Length * width];
        using var planning = new KernelContext(kernels.Isa, pool, planning: true);
        var plan = new ForwardPass(planning, Workspace.CreatePlanning());
        encoder.Forward(plan, prompt.Ids.Span, prompt.Ids.Length, hidden);
        var pass = new ForwardPass(kernels, Workspace.Create());
        pass.Workspace.Reserve(plan.Workspace.PeakFloats);
        kernels.ReserveScratch(plan.Kernels.ScratchFloats);
        encoder.Forward(pass, prompt.Ids.Span, prompt.Ids.Length, hidden);
        if (prompt.Prompt.Tuning is { } tuning)
            TensorPrimitives.Add(hidden, tuning.Values, hidden);
        return hidden;
    }

    private static IReadOnlyList<Prompt> ReadPrompts(string path)
    {
        if (IsPromptFile(path))
            return [PromptFile.Read(path)];
        string[] lines = [.. File.ReadAllLines(path, new UTF8Encoding(false)).Select(line => line.Trim()).Where(line => line.Length > 0)];
        if (lines.Length == 0)
            throw new GlipFormatException($"{path}: expected a prompt a line, found none");
        try
        {
            return [.. lines.Select(Prompt.Parse)];
        }
        catch (ArgumentException e)
        {
            throw new GlipFormatException($"{path}: {e.Message}", e);
        }
    }

    /// <summary>Safetensors begin with the length of their header, which no text does: its upper bytes are zero.</summary>
    private static bool IsPromptFile(string path)
    {
        using var file = new FileBytes(path);
        return file.Length > 8 && file.Read(0, 8).AsSpan(4).IndexOfAnyExcept((byte)0) < 0;
    }

    /// <summary>A checkpoint's weights as singles that were rounded to the stored precision.</summary>
    private sealed class RoundedWeights(TensorFile source, GlipConfig config, byte[] vocabulary, TensorType type) : WeightSource
    {
        private readonly TensorRounder _rounder = new();

        public override string Name => source.Path;

        public override GlipConfig Config => config;

        public override ReadOnlyMemory<byte> Vocabulary => vocabulary;

        public override IReadOnlyCollection<string> TensorNames => source.Names;

        public override bool TryGetTensor(string name, out WeightTensor tensor)
        {
            tensor = default;
            if (!source.TryDescribe(name, out TensorType from, out int[] shape))
                return false;
            TensorType stored = StoredPrecision.Of(name, shape, type);
            using Stream elements = source.OpenTensor(name);
            var bytes = new byte[stored.ByteCount(shape)];
            int at = 0;
            _rounder.Convert(elements, from, bytes.Length / stored.ByteSize(), stored, $"{source.Path}: tensor '{name}'", part =>
            {
                part.CopyTo(bytes.AsSpan(at));
                at += part.Length;
            });
            tensor = new WeightTensor(name, stored, shape, bytes);
            return true;
        }
    }
}
