using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// The visual side of GLIP's two-way cross attention (BiMultiHeadAttention), streamed over blocks of visual tokens with the 2048-wide
/// projections folded into the text side.
/// </summary>
/// <remarks>
/// <para>Per head h, <c>S_h = (X Wq_hᵀ + b_q)(K_h)ᵀ/√d = X·M_hᵀ + c_h</c> with <c>M_h = K_h Wq_h/√d</c>, and <c>A_h Vl_h Wo_hᵀ = A_h·U_h</c> with
/// <c>U_h = Vl_h Wo_hᵀ</c>: both are [tokens, C] matrices a head, so nothing of size N × 2048 is ever formed (specification, section 13 ii).</para>
/// <para>The text side needs a softmax over all visual tokens at once: each of a fixed number of slices keeps a level near the running maximum, a sum and a weighted
/// sum of X (online softmax), merged at the end in order. The result does not depend on the number of workers.</para>
/// </remarks>
public static unsafe class BiAttention
{
    private const int RowsPerSlice = 1024;
    private const int MostSlices = 16;

    // The text side's sums are read and written once a block of rows: long blocks do that less often. Both this and a group of heads are as large as leaves a group's
    // matrices and scores in a second-level cache of 1 to 2 MB.
    private const int RowsPerBlock = 2 * GemmCore.BlockRows;
    private const int MostGroupTokens = 400;

    // e^-16: differences of up to 16 are rounded by at most 2^-21.
    private const float LeastSum = 1.1e-7f;

    // A column's level follows its largest score only once that is so much higher: until then weights grow to e^8 at most, and what was summed need not be rescaled.
    private const float MostAboveLevel = 8f;

    // Lanes of the widest vector.
    private const int MostLanes = 16;

    /// <summary>Floats of working memory that <see cref="Forward"/> and <see cref="ForwardHead"/> (of one head) need.</summary>
    /// <param name="context">Instruction set.</param>
    /// <param name="rows">Visual tokens N.</param>
    /// <param name="channels">C.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="tokens">Text tokens T.</param>
    public static int WorkspaceFloats(KernelContext context, int rows, int channels, int heads, int tokens)
    {
        ArgumentNullException.ThrowIfNull(context);
        var layout = new Layout(rows, channels, heads, tokens, GemmTable.Layout(context.Isa));
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
        Check.Length(workspace, WorkspaceFloats(context, rows, channels, heads, tokens), nameof(workspace));
        Check.Length(y, (long)headTokens * channels, nameof(y));
        PanelLayout panels = GemmTable.Layout(context.Isa);
        var layout = new Layout(rows, channels, heads, tokens, panels);
        fixed (float* pm = scoreWeights)
        fixed (float* pc = scoreBias)
        fixed (float* pu = valueWeights)
        fixed (float* pb = outputBias)
        fixed (float* memory = workspace)
        fixed (float* py = y)
        {
            for (int g = 0; g < layout.Groups; g++)
            {
                nint first = (nint)g * layout.GroupTokens;
                PackedView scores = layout.ScoreView(memory, g), values = layout.ValueView(memory, g);
                scores.FillBias(context, pc + first);
                Packing.FromRows(context, pm + (first * channels), channels, scores);
                if (g == 0)
                    values.FillBias(context, pb);
                Packing.FromColumns(context, pu + (first * channels), channels, values);
            }

            var job = new SliceJob(visual, rows, tokens, attended, clamp, layout, memory);
            context.Run(ref job, layout.Slices, job.ScratchFloats, 3L * rows * channels * headTokens);
            var merge = new MergeJob(layout, memory, py);
            context.Run(ref merge, headTokens);
        }
    }

    /// <summary>Where things lie in the working memory: of each group of heads both packed right sides; then of each slice and group levels, sums and weighted sums.</summary>
    private readonly struct Layout
    {
        private readonly PanelLayout _panels;
        private readonly nint _scoreFloats;
        private readonly nint _valueFloats;

        public Layout(int rows, int channels, int heads, int tokens, PanelLayout panels)
        {
            _panels = panels;
            int group = heads;
            while (group > 1 && (heads % group != 0 || (long)group * tokens > MostGroupTokens))
                group--;
            Slices = Math.Clamp((rows + RowsPerSlice - 1) / RowsPerSlice, 1, MostSlices);
            Groups = heads / group;
            GroupTokens = checked(group * tokens);
            Channels = channels;
            WideTokens = panels.Padded(GroupTokens);
            WideChannels = panels.Padded(channels);
            _scoreFloats = (nint)WideTokens * (channels + 1);
            _valueFloats = (nint)WideChannels * GroupTokens;
            GroupFloats = (2 * WideTokens) + ((nint)GemmCore.PaddedRows(GroupTokens) * WideChannels);
        }

        public int Slices { get; }

        public int Groups { get; }

        /// <summary>Heads of a group × T.</summary>
        public int GroupTokens { get; }

        public int Channels { get; }

        public int WideTokens { get; }

        public int WideChannels { get; }

        public nint TotalFloats => SliceOffset + (Slices * Groups * GroupFloats);

        /// <summary>Floats of a group's levels, sums and weighted sums of one slice.</summary>
        public nint GroupFloats { get; }

        private nint ValueOffset => Groups * _scoreFloats;

        private nint SliceOffset => ValueOffset + WideChannels + (Groups * _valueFloats);

        public PackedView ScoreView(float* memory, int group)
        {
            float* bias = memory + (group * _scoreFloats);
            return new(bias + WideTokens, bias, GroupTokens, Channels, _panels);
        }

        /// <summary>The first group's has the bias; the others' products are added to it.</summary>
        public PackedView ValueView(float* memory, int group)
        {
            float* bias = memory + ValueOffset;
            return new(bias + WideChannels + (group * _valueFloats), group == 0 ? bias : null, Channels, GroupTokens, _panels);
        }

        /// <summary>Where a slice begins. Each is shorter than the one before, from 2n + 3 shares for the first of n to 5 for the last: who is done early finds a short one.</summary>
        public int FirstRow(int slice, int rows) => (int)((long)rows * slice * ((2 * Slices) + 4 - slice) / (Slices * (Slices + 4)));

        /// <summary>A group's levels of one slice; its sums follow, then its weighted sums.</summary>
        public float* Levels(float* memory, int slice, int group) => memory + SliceOffset + ((((nint)slice * Groups) + group) * GroupFloats);
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

    private readonly struct SliceJob(Visual visual, int rows, int tokens, int attended, float clamp, Layout layout, float* memory) : IKernelJob
    {
        private readonly Visual _visual = visual;
        private readonly float* _memory = memory;
        private readonly Layout _layout = layout;
        private readonly int _rows = rows;
        private readonly int _tokens = tokens;
        private readonly int _attended = attended;
        private readonly float _clamp = clamp;

        public long ScratchFloats =>
            GemmCore.PanelFloats(GemmCore.BlockRows) + (2 * MostLanes) + _layout.WideTokens + ((RowsPerBlock + 1) * ((2L * _layout.WideTokens) + (2L * _layout.WideChannels)));

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int wideTokens = _layout.WideTokens, wideChannels = _layout.WideChannels;
            for (int g = 0; g < _layout.Groups; g++)
            {
                float* levels = _layout.Levels(_memory, part, g);
                new Span<float>(levels, wideTokens).Fill(float.NegativeInfinity);
                new Span<float>(levels + wideTokens, checked((int)_layout.GroupFloats) - wideTokens).Clear();
            }

            float* lanes = scratch + GemmCore.PanelFloats(GemmCore.BlockRows);

            // One a head; whole vectors, so that rows of scores begin at cache lines.
            float* totals = lanes + MostLanes;
            float* scores = totals + wideTokens;
            float* weights = scores + ((nint)RowsPerBlock * wideTokens);
            float* packedX = weights + ((nint)(RowsPerBlock + 1) * wideTokens) + MostLanes;
            float* update = packedX + ((nint)RowsPerBlock * wideChannels);
            for (int i = 0; i < MostLanes; i++)
                lanes[i] = i;
            int first = _layout.FirstRow(part, _rows), end = _layout.FirstRow(part + 1, _rows);
            for (int row0 = first; row0 < end; row0 += RowsPerBlock)
            {
                int block = Math.Min(RowsPerBlock, end - row0);
                var queries = new DenseRows(_visual.Queries + (row0 * _visual.Stride), _visual.Stride);
                var right = new PackedView(packedX, null, _layout.Channels, block, TTile.Layout);
                Packing.FromColumns<TOps, TVec>(_visual.Values + (row0 * _visual.Stride), _visual.Stride, right);
                for (int g = 0; g < _layout.Groups; g++)
                {
                    GemmCore.MultiplyAll<DenseRows, TOps, TVec, TTile>(ref queries, block, _layout.ScoreView(_memory, g), scores, wideTokens, scratch);

                    // Text side: weights of this block against the levels, then weighted += weightsᵀ·X.
                    float* levels = _layout.Levels(_memory, part, g), sums = levels + wideTokens, weighted = sums + wideTokens;
                    for (int j = 0; j < wideTokens; j += TOps.Width)
                        OnlineSoftmax<TOps, TVec>(scores + j, weights + j, wideTokens, block, _clamp, levels + j, sums + j);
                    if (row0 > first)
                        RescaleWeighted<TOps, TVec>(weights + ((nint)block * wideTokens), weighted);
                    var left = new TransposedRows(weights, wideTokens);
                    GemmCore.MultiplyAll<TransposedRows, TOps, TVec, TTile>(ref left, _layout.GroupTokens, right, weighted, wideChannels, scratch);

                    // Image side: softmax over the real tokens of each head, then update += A·U, from b on.
                    float* factors = weights + ((nint)block * wideTokens);
                    ColumnFactors<TOps, TVec>(levels, factors);
                    for (int i = 0; i < block; i++)
                    {
                        nint row = (nint)i * wideTokens;
                        ReplaceScores<TOps, TVec>(scores + row, weights + row, factors, totals, TOps.Load(lanes));
                    }

                    var attention = new DenseRows(scores, wideTokens);
                    GemmCore.MultiplyAll<DenseRows, TOps, TVec, TTile>(ref attention, block, _layout.ValueView(_memory, g), update, wideChannels, scratch);
                }

                for (int i = 0; i < block; i++)
                {
                    float* result = update + ((nint)i * wideChannels), target = _visual.Target + ((row0 + i) * _visual.Stride);
                    if (_visual.Adds)
                        Rows.Add<TOps, TVec>(result, target, target, _layout.Channels);
                    else
                        Rows.Copy<TOps, TVec>(result, target, _layout.Channels);
                }
            }
        }

        /// <summary>
        /// For a vector of columns: clamps scores, raises the levels, turns scores into weights, updates the sums; the factor for older sums goes into the row after the block.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void OnlineSoftmax<TOps, TVec>(float* scores, float* weights, nint stride, int rows, float clamp, float* levels, float* sums)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            TVec low = TOps.Broadcast(-clamp), high = TOps.Broadcast(clamp);
            TVec before = TOps.Load(levels), max = before;
            for (int i = 0; i < rows; i++)
            {
                TVec score = TOps.Min(TOps.Max(TOps.Load(scores + (i * stride)), low), high);
                TOps.Store(score, scores + (i * stride));
                max = TOps.Max(max, score);
            }

            TVec level = TOps.SelectLess(TOps.Add(before, TOps.Broadcast(MostAboveLevel)), max, max, before), sum = TOps.Broadcast(0f);
            for (int i = 0; i < rows; i++)
            {
                TVec e = VectorMath.Exp<TOps, TVec>(TOps.Subtract(TOps.Load(scores + (i * stride)), level));
                TOps.Store(e, weights + (i * stride));
                sum = TOps.Add(sum, e);
            }

            TVec rescale = VectorMath.Exp<TOps, TVec>(TOps.Subtract(before, level));
            TOps.Store(TOps.MultiplyAdd(TOps.Load(sums), rescale, sum), sums);
            TOps.Store(level, levels);
            TOps.Store(rescale, weights + (rows * stride));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void RescaleWeighted<TOps, TVec>(float* factors, float* weighted)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            for (int j = 0; j < _layout.GroupTokens; j++)
            {
                if (factors[j] != 1f)
                    Rows.Scale<TOps, TVec>(weighted + ((nint)j * _layout.WideChannels), factors[j], _layout.WideChannels);
            }
        }

        /// <summary>For each head's real tokens: e to the power of a column's level less the head's largest.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void ColumnFactors<TOps, TVec>(float* levels, float* factors)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            for (int head = 0; head < _layout.GroupTokens; head += _tokens)
            {
                Rows.Copy<TOps, TVec>(levels + head, factors + head, _attended);
                Rows.ExpSum<TOps, TVec>(factors + head, _attended, Rows.Max<TOps, TVec>(levels + head, _attended));
            }
        }

        /// <summary>Turns a row of scores into <see cref="TokenSoftmax"/> of it, in whichever way costs less. The row's weights are lost.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void ReplaceScores<TOps, TVec>(float* scores, float* weights, float* factors, float* totals, TVec lanes)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            // Whole vectors reach into the next row, of which both are still wanted.
            int wide = _layout.WideTokens;
            TVec nextScores = TOps.Load(scores + wide), nextWeights = TOps.Load(weights + wide);
            if (!TrySoftmaxOfWeights<TOps, TVec>(weights, factors, scores, totals, lanes))
            {
                TokenSoftmax<TOps, TVec>(scores, weights, lanes);
                Rows.Copy<TOps, TVec>(weights, scores, wide);
                TOps.Store(nextWeights, weights + wide);
            }

            TOps.Store(nextScores, scores + wide);
        }

        /// <summary>
        /// <see cref="TokenSoftmax"/> of a row without another exponential: a weight e^(s − column's level) times the column's factor is e^(s − c) with one c for the whole
        /// head, and softmax does not depend on c. False if a head's scores are so far below c that rounded differences would be seen.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private bool TrySoftmaxOfWeights<TOps, TVec>(float* weights, float* factors, float* target, float* totals, TVec lanes)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            int whole = _attended / TOps.Width * TOps.Width;
            bool hasRest = whole < _attended;
            TVec rest = TOps.Broadcast(_attended - whole), zero = TOps.Broadcast(0f);
            float least = float.PositiveInfinity;
            for (int head = 0, h = 0; head < _layout.GroupTokens; head += _tokens, h++)
            {
                float* from = weights + head, factor = factors + head;
                TVec sum = hasRest ? TOps.SelectLess(lanes, rest, TOps.Multiply(TOps.Load(from + whole), TOps.Load(factor + whole)), zero) : zero;
                for (int t = 0; t < whole; t += TOps.Width)
                    sum = TOps.MultiplyAdd(TOps.Load(from + t), TOps.Load(factor + t), sum);
                totals[h] = TOps.Sum(sum);
                least = Math.Min(least, totals[h]);
            }

            // Written so that NaN, too, is refused.
            if (!(least >= LeastSum))
                return false;
            for (int head = 0, h = 0; head < _layout.GroupTokens; head += _tokens, h++)
            {
                TVec scale = TOps.Broadcast(1f / totals[h]);
                for (int t = head; t < head + _attended; t += TOps.Width)
                    TOps.Store(TOps.Multiply(TOps.Multiply(TOps.Load(weights + t), TOps.Load(factors + t)), scale), target + t);
                if (_attended < _tokens)
                    new Span<float>(target + head + _attended, _tokens - _attended).Clear();
            }

            return true;
        }

        /// <summary>
        /// Softmax of each head's real tokens within a row, 0 for the others. Heads are short and stand side by side, so all is done in whole vectors: what a head reads
        /// beyond its last token is not counted, what it writes there is overwritten by the next.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void TokenSoftmax<TOps, TVec>(float* row, float* target, TVec lanes)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            int whole = _attended / TOps.Width * TOps.Width;
            bool hasRest = whole < _attended;
            TVec rest = TOps.Broadcast(_attended - whole), zero = TOps.Broadcast(0f), lowest = TOps.Broadcast(float.NegativeInfinity);
            for (int head = 0; head < _layout.GroupTokens; head += _tokens)
            {
                float* from = row + head, to = target + head;
                TVec max = hasRest ? TOps.SelectLess(lanes, rest, TOps.Load(from + whole), lowest) : lowest;
                for (int t = 0; t < whole; t += TOps.Width)
                    max = TOps.Max(max, TOps.Load(from + t));
                max = TOps.Broadcast(TOps.MaxAcross(max));
                TVec sum = zero, last = zero;
                for (int t = 0; t < whole; t += TOps.Width)
                {
                    TVec e = VectorMath.Exp<TOps, TVec>(TOps.Subtract(TOps.Load(from + t), max));
                    TOps.Store(e, to + t);
                    sum = TOps.Add(sum, e);
                }

                if (hasRest)
                    last = TOps.SelectLess(lanes, rest, VectorMath.Exp<TOps, TVec>(TOps.Subtract(TOps.Load(from + whole), max)), zero);
                TVec scale = TOps.Broadcast(1f / TOps.Sum(TOps.Add(sum, last)));
                for (int t = 0; t < whole; t += TOps.Width)
                    TOps.Store(TOps.Multiply(TOps.Load(to + t), scale), to + t);
                if (hasRest)
                    TOps.Store(TOps.Multiply(last, scale), to + whole);
                if (_attended < _tokens)
                    new Span<float>(to + _attended, _tokens - _attended).Clear();
            }
        }
    }

    private readonly struct MergeJob(Layout layout, float* memory, float* y) : IKernelJob
    {
        private readonly float* _memory = memory;
        private readonly float* _y = y;
        private readonly Layout _layout = layout;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            var (group, column) = Math.DivRem(part, _layout.GroupTokens);
            float max = float.NegativeInfinity, sum = 0;
            for (int s = 0; s < _layout.Slices; s++)
                max = SimdScalar.Max(max, _layout.Levels(_memory, s, group)[column]);
            for (int s = 0; s < _layout.Slices; s++)
                sum += _layout.Levels(_memory, s, group)[_layout.WideTokens + column] * Factor(s, group, column, max);
            float* target = _y + ((nint)part * _layout.Channels);
            new Span<float>(target, _layout.Channels).Clear();
            for (int s = 0; s < _layout.Slices; s++)
            {
                float* weighted = _layout.Levels(_memory, s, group) + (2 * _layout.WideTokens) + ((nint)column * _layout.WideChannels);
                Rows.AddScaled<TOps, TVec>(weighted, Factor(s, group, column, max) / sum, target, _layout.Channels);
            }
        }

        private float Factor(int slice, int group, int column, float max) =>
            VectorMath.Exp<SimdScalar, float>(_layout.Levels(_memory, slice, group)[column] - max);
    }
}
