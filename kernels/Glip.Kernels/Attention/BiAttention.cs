using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// The visual side of GLIP's two-way cross attention (BiMultiHeadAttention), streamed over blocks of visual tokens with the 2048-wide
/// projections folded into the text side.
/// </summary>
/// <remarks>
/// <para>Per head h, <c>S_h = (X Wq_hᵀ + b_q)(K_h)ᵀ/√d = X·M_hᵀ + c_h</c> with <c>M_h = K_h Wq_h/√d</c>, and <c>A_h Vl_h Wo_hᵀ = A_h·U_h</c> with
/// <c>U_h = Vl_h Wo_hᵀ</c>: both are [tokens, C] matrices a head, so nothing of size N × 2048 is ever formed (specification, section 13 ii).</para>
/// <para>The text side needs a softmax over all visual tokens at once: each of a fixed number of slices keeps a running maximum, sum and weighted
/// sum of X (online softmax), merged at the end in order. The result does not depend on the number of workers.</para>
/// </remarks>
public static unsafe class BiAttention
{
    private const int RowsPerSlice = 1024;
    private const int MostSlices = 16;

    /// <summary>Floats of working memory that <see cref="Forward"/> needs.</summary>
    /// <param name="context">Instruction set.</param>
    /// <param name="rows">Visual tokens N.</param>
    /// <param name="channels">C.</param>
    /// <param name="headTokens">Heads × text tokens.</param>
    public static int WorkspaceFloats(KernelContext context, int rows, int channels, int headTokens)
    {
        ArgumentNullException.ThrowIfNull(context);
        var layout = new Layout(rows, channels, headTokens, GemmTable.Layout(context.Isa));
        return checked((int)layout.TotalFloats);
    }

    /// <summary>
    /// <c>S = clamp(X·Mᵀ + c)</c>; image side: <c>X += softmax_tokens(S)·U + b</c> (in place); text side: <c>Y_h = softmax_rows(S_hᵀ)·X</c> with the X
    /// from before.
    /// </summary>
    /// <param name="context">Instruction set and workers; slices of rows are shared out.</param>
    /// <param name="x">[rows, C], normalised visual tokens; receives the image side's update.</param>
    /// <param name="rows">N.</param>
    /// <param name="channels">C.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="tokens">Text tokens T.</param>
    /// <param name="attended">How many of them are real: visual tokens attend to the first so many of each head. All get a row of <paramref name="y"/>.</param>
    /// <param name="scoreWeights">M: [heads·T, C].</param>
    /// <param name="scoreBias">c: [heads·T].</param>
    /// <param name="valueWeights">U: [heads·T, C].</param>
    /// <param name="outputBias">b: [C].</param>
    /// <param name="clamp">Scores are kept within ± this.</param>
    /// <param name="workspace"><see cref="WorkspaceFloats"/> values, overwritten.</param>
    /// <param name="y">[heads·T, C], the text side's weighted sums.</param>
    public static void Forward(
        KernelContext context, Span<float> x, int rows, int channels, int heads, int tokens, int attended, ReadOnlySpan<float> scoreWeights,
        ReadOnlySpan<float> scoreBias, ReadOnlySpan<float> valueWeights, ReadOnlySpan<float> outputBias, float clamp, Span<float> workspace, Span<float> y)
    {
        Check.Length(x, (long)rows * channels, nameof(x));
        fixed (float* px = x)
        {
            var visual = new Visual(px, px, px, channels, adds: true);
            Run(context, visual, rows, channels, heads, tokens, attended, scoreWeights, scoreBias, valueWeights, outputBias, clamp, workspace, y);
        }
    }

    /// <summary>
    /// The same for one head whose projections are not folded: <c>S = clamp(Q·Kᵀ)</c>, image side <c>O = softmax_tokens(S)·V_text</c>, text side
    /// <c>Y = softmax_rows(Sᵀ)·V_visual</c>.
    /// </summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="queries">[rows, D] of this head, scaled, with bias.</param>
    /// <param name="values">[rows, D], V_visual.</param>
    /// <param name="output">[rows, D], O.</param>
    /// <param name="stride">Floats from one row of these three to the next.</param>
    /// <param name="rows">N.</param>
    /// <param name="headDim">D.</param>
    /// <param name="tokens">T.</param>
    /// <param name="attended">How many of them are real.</param>
    /// <param name="keys">[T, D].</param>
    /// <param name="textValues">[T, D], V_text.</param>
    /// <param name="zeros">At least max(T, D) zeros.</param>
    /// <param name="clamp">Scores are kept within ± this.</param>
    /// <param name="workspace"><see cref="WorkspaceFloats"/> values, overwritten.</param>
    /// <param name="y">[T, D].</param>
    public static void ForwardHead(
        KernelContext context, ReadOnlySpan<float> queries, ReadOnlySpan<float> values, Span<float> output, int stride, int rows, int headDim, int tokens, int attended,
        ReadOnlySpan<float> keys, ReadOnlySpan<float> textValues, ReadOnlySpan<float> zeros, float clamp, Span<float> workspace, Span<float> y)
    {
        long needed = ((rows - 1L) * stride) + headDim;
        Check.That(stride >= headDim, $"{stride} is shorter than a row of {headDim}", nameof(stride));
        Check.Length(queries, needed, nameof(queries));
        Check.Length(values, needed, nameof(values));
        Check.Length(output, needed, nameof(output));
        Check.Length(zeros, Math.Max(tokens, headDim), nameof(zeros));
        fixed (float* pq = queries)
        fixed (float* pv = values)
        fixed (float* po = output)
        {
            var visual = new Visual(pq, pv, po, stride, adds: false);
            Run(context, visual, rows, headDim, 1, tokens, attended, keys, zeros, textValues, zeros, clamp, workspace, y);
        }
    }

    private static void Run(
        KernelContext context, Visual visual, int rows, int channels, int heads, int tokens, int attended, ReadOnlySpan<float> scoreWeights,
        ReadOnlySpan<float> scoreBias, ReadOnlySpan<float> valueWeights, ReadOnlySpan<float> outputBias, float clamp, Span<float> workspace, Span<float> y)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.That(rows > 0, $"a softmax over no visual tokens is undefined", nameof(rows));
        Check.That(heads > 0 && tokens > 0, $"{heads} heads of {tokens} text tokens attend to nothing", nameof(tokens));
        Check.That(attended > 0 && attended <= tokens, $"{attended} of {tokens} text tokens cannot be attended to", nameof(attended));
        int headTokens = heads * tokens;
        Check.Length(scoreWeights, (long)headTokens * channels, nameof(scoreWeights));
        Check.Length(scoreBias, headTokens, nameof(scoreBias));
        Check.Length(valueWeights, (long)headTokens * channels, nameof(valueWeights));
        Check.Length(outputBias, channels, nameof(outputBias));
        Check.Length(workspace, WorkspaceFloats(context, rows, channels, headTokens), nameof(workspace));
        Check.Length(y, (long)headTokens * channels, nameof(y));
        PanelLayout panels = GemmTable.Layout(context.Isa);
        var layout = new Layout(rows, channels, headTokens, panels);
        fixed (float* pm = scoreWeights)
        fixed (float* pc = scoreBias)
        fixed (float* pu = valueWeights)
        fixed (float* pb = outputBias)
        fixed (float* memory = workspace)
        fixed (float* py = y)
        {
            PackedView scores = layout.ScoreView(memory), values = layout.ValueView(memory);
            scores.FillBias(context, pc);
            Packing.FromRows(context, pm, channels, scores);
            values.FillBias(context, pb);
            Packing.FromColumns(context, pu, channels, values);
            var job = new SliceJob(visual, rows, heads, tokens, attended, clamp, scores, values, layout, memory + layout.SliceOffset);
            context.Run(ref job, layout.Slices, job.ScratchFloats, 3L * rows * channels * headTokens);
            var merge = new MergeJob(headTokens, channels, layout, memory + layout.SliceOffset, py);
            context.Run(ref merge, headTokens);
        }
    }

    /// <summary>Where things lie in the working memory: both packed right sides, then each slice's maxima, sums and weighted sums.</summary>
    private readonly struct Layout(int rows, int channels, int headTokens, PanelLayout panels)
    {
        public int Slices { get; } = Math.Clamp((rows + RowsPerSlice - 1) / RowsPerSlice, 1, MostSlices);

        public int WideTokens { get; } = panels.Padded(headTokens);

        public int WideChannels { get; } = panels.Padded(channels);

        public nint SliceOffset => ((nint)WideTokens * (channels + 1)) + ((nint)WideChannels * (headTokens + 1));

        public nint SliceFloats => (2 * WideTokens) + ((nint)GemmCore.PaddedRows(headTokens) * WideChannels);

        public nint TotalFloats => SliceOffset + (Slices * SliceFloats);

        public PackedView ScoreView(float* memory) =>
            new(memory + WideTokens, memory, headTokens, channels, panels);

        public PackedView ValueView(float* memory)
        {
            float* bias = memory + ((nint)WideTokens * (channels + 1));
            return new(bias + WideChannels, bias, channels, headTokens, panels);
        }
    }

    /// <summary>Where the visual side's rows lie: what scores and the text side's sums are made of, and where the image side's result goes, perhaps the same place.</summary>
    private readonly struct Visual(float* queries, float* values, float* target, nint stride, bool adds)
    {
        /// <summary>Rows whose products with M are scores.</summary>
        public readonly float* Queries = queries;

        /// <summary>Rows that the text side sums.</summary>
        public readonly float* Values = values;

        /// <summary>Receives the image side's result.</summary>
        public readonly float* Target = target;

        /// <summary>Floats from one row to the next, of all three.</summary>
        public readonly nint Stride = stride;

        /// <summary>True to add to what the target holds.</summary>
        public readonly bool Adds = adds;
    }

    private readonly struct SliceJob(
        Visual visual, int rows, int heads, int tokens, int attended, float clamp, PackedView scores, PackedView values, Layout layout, float* slices) : IKernelJob
    {
        private readonly Visual _visual = visual;
        private readonly float* _slices = slices;
        private readonly PackedView _scores = scores;
        private readonly PackedView _values = values;
        private readonly Layout _layout = layout;
        private readonly int _rows = rows;
        private readonly int _heads = heads;
        private readonly int _tokens = tokens;
        private readonly int _attended = attended;
        private readonly float _clamp = clamp;

        public long ScratchFloats =>
            GemmCore.PanelFloats(GemmCore.BlockRows) + ((GemmCore.BlockRows + 1) * ((2L * _layout.WideTokens) + (2L * _layout.WideChannels)));

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int wideTokens = _layout.WideTokens, channels = _scores.Depth, headTokens = _scores.Columns;
            float* maxima = _slices + (part * _layout.SliceFloats), sums = maxima + wideTokens, weighted = sums + wideTokens;
            new Span<float>(maxima, wideTokens).Fill(float.NegativeInfinity);
            new Span<float>(sums, checked((int)_layout.SliceFloats) - wideTokens).Clear();

            float* scores = scratch + GemmCore.PanelFloats(GemmCore.BlockRows);
            float* weights = scores + ((nint)GemmCore.BlockRows * wideTokens);
            float* packedX = weights + ((nint)(GemmCore.BlockRows + 1) * wideTokens);
            float* update = packedX + ((nint)GemmCore.BlockRows * _layout.WideChannels);
            var source = new DenseRows(_visual.Queries, _visual.Stride);
            int first = (int)((long)_rows * part / _layout.Slices), end = (int)((long)_rows * (part + 1) / _layout.Slices);
            for (int row0 = first; row0 < end; row0 += GemmCore.BlockRows)
            {
                int block = Math.Min(GemmCore.BlockRows, end - row0);
                GemmCore.Multiply<DenseRows, TOps, TVec, TTile>(ref source, row0, block, _scores, scores, wideTokens, scratch);
                Rows.Clamp<TOps, TVec>(scores, block * wideTokens, _clamp);

                // Text side: weights of this block against the running maxima, then weighted += weightsᵀ·X.
                for (int j = 0; j < wideTokens; j += TOps.Width)
                    OnlineSoftmax<TOps, TVec>(scores + j, weights + j, wideTokens, block, maxima + j, sums + j);
                RescaleWeighted<TOps, TVec>(weights + ((nint)block * wideTokens), weighted, headTokens);
                var right = new PackedView(packedX, null, channels, block, TTile.Layout);
                Packing.FromColumns<TOps, TVec>(_visual.Values + (row0 * _visual.Stride), _visual.Stride, right);
                var left = new TransposedRows(weights, wideTokens);
                GemmCore.MultiplyAll<TransposedRows, TOps, TVec, TTile>(ref left, headTokens, right, weighted, _layout.WideChannels, scratch);

                // Image side: softmax over the real tokens of each head, then X += A·U + b.
                for (int i = 0; i < block; i++)
                    TokenSoftmax<TOps, TVec>(scores + ((nint)i * wideTokens));
                var attention = new DenseRows(scores, wideTokens);
                GemmCore.Multiply<DenseRows, TOps, TVec, TTile>(ref attention, 0, block, _values, update, _layout.WideChannels, scratch);
                for (int i = 0; i < block; i++)
                {
                    float* result = update + ((nint)i * _layout.WideChannels), target = _visual.Target + ((row0 + i) * _visual.Stride);
                    if (_visual.Adds)
                        Rows.Add<TOps, TVec>(result, target, target, channels);
                    else
                        Rows.Copy<TOps, TVec>(result, target, channels);
                }
            }
        }

        /// <summary>For a vector of columns: raises the maxima, turns scores into weights, updates the sums; the factor for older sums goes into the row after the block.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void OnlineSoftmax<TOps, TVec>(float* scores, float* weights, nint stride, int rows, float* maxima, float* sums)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            TVec before = TOps.Load(maxima), max = before;
            for (int i = 0; i < rows; i++)
                max = TOps.Max(max, TOps.Load(scores + (i * stride)));
            TVec sum = TOps.Broadcast(0f);
            for (int i = 0; i < rows; i++)
            {
                TVec e = VectorMath.Exp<TOps, TVec>(TOps.Subtract(TOps.Load(scores + (i * stride)), max));
                TOps.Store(e, weights + (i * stride));
                sum = TOps.Add(sum, e);
            }

            TVec rescale = VectorMath.Exp<TOps, TVec>(TOps.Subtract(before, max));
            TOps.Store(TOps.MultiplyAdd(TOps.Load(sums), rescale, sum), sums);
            TOps.Store(max, maxima);
            TOps.Store(rescale, weights + (rows * stride));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void RescaleWeighted<TOps, TVec>(float* factors, float* weighted, int headTokens)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            for (int j = 0; j < headTokens; j++)
            {
                if (factors[j] != 1f)
                    Rows.Scale<TOps, TVec>(weighted + ((nint)j * _layout.WideChannels), factors[j], _layout.WideChannels);
            }
        }

        /// <summary>Softmax of each head's real tokens within a row, 0 for the others. Heads are short, so the exponentials run over the whole row at once.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void TokenSoftmax<TOps, TVec>(float* row)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            for (int h = 0; h < _heads; h++)
            {
                float* head = row + (h * _tokens);
                float max = Rows.Max<TOps, TVec>(head, _attended);
                for (int t = 0; t < _attended; t++)
                    head[t] -= max;
            }

            for (int j = 0; j < _layout.WideTokens; j += TOps.Width)
                TOps.Store(VectorMath.Exp<TOps, TVec>(TOps.Load(row + j)), row + j);
            for (int h = 0; h < _heads; h++)
            {
                float* head = row + (h * _tokens);
                Rows.Scale<TOps, TVec>(head, 1f / Rows.Sum<TOps, TVec>(head, _attended), _attended);
                if (_attended < _tokens)
                    new Span<float>(head + _attended, _tokens - _attended).Clear();
            }
        }
    }

    private readonly struct MergeJob(int headTokens, int channels, Layout layout, float* slices, float* y) : IKernelJob
    {
        private readonly float* _slices = slices;
        private readonly float* _y = y;
        private readonly Layout _layout = layout;
        private readonly int _headTokens = headTokens;
        private readonly int _channels = channels;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            float max = float.NegativeInfinity, sum = 0;
            for (int s = 0; s < _layout.Slices; s++)
                max = SimdScalar.Max(max, Slice(s)[part]);
            for (int s = 0; s < _layout.Slices; s++)
                sum += Slice(s)[_layout.WideTokens + part] * Factor(s, part, max);
            float* target = _y + ((nint)part * _channels);
            new Span<float>(target, _channels).Clear();
            for (int s = 0; s < _layout.Slices; s++)
            {
                float* weighted = Slice(s) + (2 * _layout.WideTokens) + ((nint)part * _layout.WideChannels);
                Rows.AddScaled<TOps, TVec>(weighted, Factor(s, part, max) / sum, target, _channels);
            }
        }

        private float* Slice(int slice) => _slices + (slice * _layout.SliceFloats);

        private float Factor(int slice, int column, float max) => VectorMath.Exp<SimdScalar, float>(Slice(slice)[column] - max);
    }
}
