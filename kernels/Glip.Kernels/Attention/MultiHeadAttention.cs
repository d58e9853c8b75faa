using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Scaled dot-product attention of a short sequence with itself (Vaswani et al., 2017), as BERT uses it.</summary>
public static unsafe class MultiHeadAttention
{
    /// <summary>Per head: <c>softmax(clamp(q·kᵀ·scale) + keyBias)·v</c>.</summary>
    /// <param name="context">Instruction set and workers; heads are shared out.</param>
    /// <param name="qkv">[tokens, 3·C]: queries, keys, values; head h owns columns h·D … of each.</param>
    /// <param name="tokens">Sequence length L.</param>
    /// <param name="channels">C.</param>
    /// <param name="heads">Heads; D = C / heads.</param>
    /// <param name="clamp">Scores are kept within ± this, before the mask.</param>
    /// <param name="keyBias">[tokens] added to each query's scores (0, or −10000 for padding), or empty.</param>
    /// <param name="y">[tokens, C]: heads side by side.</param>
    public static void Forward(
        KernelContext context, ReadOnlySpan<float> qkv, int tokens, int channels, int heads, float clamp, ReadOnlySpan<float> keyBias, Span<float> y)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.That(heads > 0 && channels % heads == 0, $"{channels} channels do not divide into {heads} heads", nameof(heads));
        Check.Length(qkv, 3L * tokens * channels, nameof(qkv));
        Check.Length(y, (long)tokens * channels, nameof(y));
        if (!keyBias.IsEmpty)
            Check.Length(keyBias, tokens, nameof(keyBias));
        fixed (float* pq = qkv)
        fixed (float* pb = keyBias)
        fixed (float* py = y)
        {
            var job = new Job(pq, tokens, channels, channels / heads, clamp, pb, py);
            context.Run(ref job, heads, AttentionCore.ScratchFloats(context.Isa, tokens, channels / heads), 2L * tokens * tokens * channels);
        }
    }

    private readonly struct Job(float* qkv, int tokens, int channels, int headDim, float clamp, float* keyBias, float* y) : IKernelJob
    {
        private readonly float* _qkv = qkv;
        private readonly float* _keyBias = keyBias;
        private readonly float* _y = y;
        private readonly int _tokens = tokens;
        private readonly int _channels = channels;
        private readonly int _headDim = headDim;
        private readonly float _clamp = clamp;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            nint stride = 3 * _channels;
            float* q = _qkv + (part * _headDim);
            float scale = 1f / MathF.Sqrt(_headDim);
            var core = new AttentionCore(scratch, _tokens, _headDim, TTile.Layout);
            core.Scores<TOps, TVec, TTile>(q, stride, q + _channels, stride);
            for (int i = 0; i < _tokens; i++)
            {
                float* row = core.ScoreRow(i);
                Rows.Scale<TOps, TVec>(row, scale, _tokens);
                Rows.Clamp<TOps, TVec>(row, _tokens, _clamp);
                if (_keyBias is not null)
                    Rows.Add<TOps, TVec>(row, _keyBias, row, _tokens);
                Rows.Softmax<TOps, TVec>(row, _tokens);
            }

            core.WeightedValues<TOps, TVec, TTile>(q + (2 * _channels), stride);
            for (int i = 0; i < _tokens; i++)
                Rows.Copy<TOps, TVec>(core.OutputRow(i), _y + ((nint)i * _channels) + (part * _headDim), _headDim);
        }
    }
}

/// <summary>One head's two products for up to a few hundred tokens, in a worker's scratch memory.</summary>
internal readonly unsafe struct AttentionCore
{
    private readonly float* _panel;
    private readonly float* _packed;
    private readonly float* _zeros;
    private readonly float* _scores;
    private readonly float* _output;
    private readonly int _tokens;
    private readonly int _headDim;
    private readonly PanelLayout _layout;

    public AttentionCore(float* scratch, int tokens, int headDim, PanelLayout layout)
    {
        _tokens = tokens;
        _headDim = headDim;
        _layout = layout;
        int rows = GemmCore.PaddedRows(tokens), wide = Wide(tokens, headDim, layout);
        ScoreStride = layout.Padded(tokens);
        _panel = scratch;
        _packed = _panel + GemmCore.PanelFloats(Math.Min(tokens, GemmCore.BlockRows));
        _zeros = _packed + ((nint)wide * Math.Max(tokens, headDim));
        _scores = _zeros + wide;
        _output = _scores + ((nint)rows * ScoreStride);
        new Span<float>(_zeros, wide).Clear();
    }

    /// <summary>Floats from one row of scores to the next; columns beyond the tokens hold 0 after <see cref="Scores"/>.</summary>
    public int ScoreStride { get; }

    public static long ScratchFloats(SimdIsa isa, int tokens, int headDim)
    {
        PanelLayout layout = GemmTable.Layout(isa);
        int rows = GemmCore.PaddedRows(tokens), wide = Wide(tokens, headDim, layout);
        return GemmCore.PanelFloats(Math.Min(tokens, GemmCore.BlockRows)) + ((long)wide * (Math.Max(tokens, headDim) + 1))
            + ((long)rows * layout.Padded(tokens)) + ((long)rows * layout.Padded(headDim));
    }

    public float* ScoreRow(int token) => _scores + ((nint)token * ScoreStride);

    /// <summary>scores = q·kᵀ.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Scores<TOps, TVec, TTile>(float* q, nint qStride, float* k, nint kStride)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
        where TTile : struct, IGemmMicroKernel
    {
        var view = new PackedView(_packed, _zeros, _tokens, _headDim, _layout);
        Packing.FromRows<TOps, TVec>(k, kStride, view);
        var source = new DenseRows(q, qStride);
        GemmCore.MultiplyAll<DenseRows, TOps, TVec, TTile>(ref source, _tokens, view, _scores, ScoreStride, _panel);
    }

    /// <summary>A token's result after <see cref="WeightedValues"/>.</summary>
    public float* OutputRow(int token) => _output + ((nint)token * _layout.Padded(_headDim));

    /// <summary>output = scores·v.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WeightedValues<TOps, TVec, TTile>(float* v, nint vStride)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
        where TTile : struct, IGemmMicroKernel
    {
        var view = new PackedView(_packed, _zeros, _headDim, _tokens, _layout);
        Packing.FromColumns<TOps, TVec>(v, vStride, view);
        var source = new DenseRows(_scores, ScoreStride);
        GemmCore.MultiplyAll<DenseRows, TOps, TVec, TTile>(ref source, _tokens, view, _output, view.PaddedColumns, _panel);
    }

    private static int Wide(int tokens, int headDim, PanelLayout layout) => layout.Padded(Math.Max(tokens, headDim));
}
