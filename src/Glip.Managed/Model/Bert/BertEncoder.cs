using System.Numerics.Tensors;
using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Bert;

/// <summary>BERT without pooler: token ids to hidden states. As a rule only real tokens enter; padding changes nothing that detection uses (specification, section 13 i).</summary>
internal sealed class BertEncoder
{
    /// <summary>Where checkpoints have it.</summary>
    public const string Prefix = "language_backbone.body.model.";

    // The original's; e^-10000 is 0.
    private const float PaddingScore = -10000;

    private readonly int _width;
    private readonly WeightTable _words;
    private readonly WeightTable _positions;
    private readonly float[] _type;
    private readonly NormWeights _norm;
    private readonly BertLayer[] _layers;

    public BertEncoder(WeightReader weights, BertConfig config)
    {
        _width = config.HiddenSize;
        _words = weights.Table("embeddings.word_embeddings.weight", config.VocabularySize, _width);
        _positions = weights.Table("embeddings.position_embeddings.weight", config.MaxPositions, _width);
        _type = weights.Values("embeddings.token_type_embeddings.weight", 2, _width);
        _norm = weights.Norm("embeddings.LayerNorm", _width);
        _layers = new BertLayer[config.Layers];
        for (int n = 0; n < _layers.Length; n++)
            _layers[n] = new BertLayer(weights.Under($"encoder.layer.{n}."), config);
    }

    /// <summary>What is added to attention scores so that nobody attends to padding: [tokens], or empty where all tokens are real.</summary>
    public static WorkspaceBuffer PaddingBias(ForwardPass pass, int tokens, int attended)
    {
        WorkspaceBuffer bias = pass.Rent(attended < tokens ? tokens : 0);
        if (attended < tokens && !pass.IsPlanning)
        {
            bias.Span[..attended].Clear();
            bias.Span[attended..].Fill(PaddingScore);
        }

        return bias;
    }

    /// <summary>Hidden states [L, C] of <paramref name="ids"/>, the first <paramref name="attended"/> of which are real.</summary>
    public void Forward(ForwardPass pass, ReadOnlySpan<int> ids, int attended, Span<float> hidden)
    {
        using WorkspaceBuffer keyBias = PaddingBias(pass, ids.Length, attended);
        Embed(pass, ids, hidden);
        LayerNorm.Forward(pass.Kernels, hidden, ids.Length, _norm.Gamma, _norm.Beta, BertLayer.NormEpsilon, hidden);
        pass.Trace?.Tokens("bert.embeddings", hidden, attended, _width);
        for (int n = 0; n < _layers.Length; n++)
        {
            pass.Checkpoint();
            _layers[n].Forward(pass, hidden, ids.Length, keyBias);
            pass.Trace?.Tokens($"bert.layer.{n}", hidden, attended, _width);
        }
    }

    private void Embed(ForwardPass pass, ReadOnlySpan<int> ids, Span<float> hidden)
    {
        using WorkspaceBuffer position = pass.Rent(_width);
        for (int i = 0; !pass.IsPlanning && i < ids.Length; i++)
        {
            Span<float> token = hidden.Slice(i * _width, _width);
            _words.Read(pass.Kernels, ids[i], token);
            _positions.Read(pass.Kernels, i, position);
            TensorPrimitives.Add(token, _type.AsSpan(0, _width), token);
            TensorPrimitives.Add(token, position, token);
        }
    }
}
