using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Sizes of one Swin block's attention: a map, its windows and their shift.</summary>
/// <param name="Height">Map rows H.</param>
/// <param name="Width">Map columns W.</param>
/// <param name="Channels">C.</param>
/// <param name="Heads">Attention heads; D = C / heads.</param>
/// <param name="Window">Window side Ws.</param>
/// <param name="Shift">Cyclic shift, 0 or Ws / 2.</param>
public readonly record struct WindowShape(int Height, int Width, int Channels, int Heads, int Window, int Shift)
{
    /// <summary>Tokens of a window.</summary>
    public int Tokens => Window * Window;

    /// <summary>Windows in a row of the padded map.</summary>
    public int WindowsAcross => (Width + Window - 1) / Window;

    /// <summary>Windows of the padded map.</summary>
    public int Windows => (Height + Window - 1) / Window * WindowsAcross;
}

/// <summary>The attention half of a Swin block (Liu et al., ICCV 2021), whole windows at a time, without any full-size intermediate.</summary>
public static unsafe class WindowAttention
{
    // Scores of cells that the cyclic shift brought together from different sides of the map (the original's constant).
    private const float MaskedScore = -100f;

    // In front of softmax: counts as nothing, so that rows can be processed beyond their last token in whole vectors.
    private const float PaddedScore = float.NegativeInfinity;

    /// <summary>Expands the relative position bias table to one padded score matrix a head, ready to be added.</summary>
    /// <param name="context">Decides the padding.</param>
    /// <param name="table">[(2Ws − 1)², heads].</param>
    /// <param name="window">Ws.</param>
    /// <param name="heads">Heads.</param>
    /// <returns>[heads, Ws², padded Ws²]; padding holds −∞.</returns>
    public static float[] ExpandBias(KernelContext context, ReadOnlySpan<float> table, int window, int heads)
    {
        ArgumentNullException.ThrowIfNull(context);
        int side = (2 * window) - 1, tokens = window * window;
        Check.Length(table, (long)side * side * heads, nameof(table));
        int stride = GemmTable.Layout(context.Isa).Padded(tokens);
        var bias = new float[heads * tokens * stride];
        Array.Fill(bias, PaddedScore);
        for (int h = 0; h < heads; h++)
        {
            for (int query = 0; query < tokens; query++)
            {
                for (int key = 0; key < tokens; key++)
                {
                    int dy = (query / window) - (key / window) + window - 1, dx = (query % window) - (key % window) + window - 1;
                    bias[(((h * tokens) + query) * stride) + key] = table[(((dy * side) + dx) * heads) + h];
                }
            }
        }

        return bias;
    }

    /// <summary>Multiply-adds: projections of the map's cells, attention within whole windows.</summary>
    public static long MultiplyAdds(WindowShape shape) =>
        ((long)shape.Height * shape.Width * 4 * shape.Channels * shape.Channels) + ((long)shape.Windows * shape.Tokens * 2 * shape.Tokens * shape.Channels);

    /// <summary><c>x += proj(attention(windows(LN(x))))</c>, in place.</summary>
    /// <remarks>
    /// The map is padded <em>after</em> the norm, with zeros, whose queries, keys and values are therefore the bias of <paramref name="qkv"/>; padded cells
    /// take part unmasked in all windows (trap T7). Windows never shrink and the shift never turns off (trap T8). In
    /// shifted blocks, scores between cells of different bands get −100.
    /// </remarks>
    /// <param name="context">Instruction set and workers; groups of windows are shared out.</param>
    /// <param name="x">[H, W, C], read and updated.</param>
    /// <param name="shape">Sizes.</param>
    /// <param name="gamma">[C], layer norm.</param>
    /// <param name="beta">[C], layer norm.</param>
    /// <param name="eps">Layer norm's.</param>
    /// <param name="qkv">[3C, C] with bias: queries, keys, values.</param>
    /// <param name="bias">See <see cref="ExpandBias"/>.</param>
    /// <param name="projection">[C, C] with bias.</param>
    public static void Forward(
        KernelContext context, Span<float> x, WindowShape shape, ReadOnlySpan<float> gamma, ReadOnlySpan<float> beta, float eps,
        PackedMatrix qkv, ReadOnlySpan<float> bias, PackedMatrix projection)
    {
        Check.That(shape is { Height: > 0, Width: > 0, Window: > 0, Shift: >= 0 } && shape.Shift < shape.Window, $"{shape} has no windows", nameof(shape));
        Check.That(shape.Heads > 0 && shape.Channels % shape.Heads == 0, $"{shape.Channels} channels do not divide into {shape.Heads} heads", nameof(shape));
        Check.Packed(context, qkv, shape.Channels, nameof(qkv));
        Check.Packed(context, projection, shape.Channels, nameof(projection));
        Check.That(qkv.Columns == 3 * shape.Channels, $"{nameof(qkv)} has {qkv.Columns} columns, needs three for each of {shape.Channels} channels", nameof(qkv));
        Check.That(projection.Columns == shape.Channels, $"{nameof(projection)} has {projection.Columns} columns, the map {shape.Channels} channels", nameof(projection));
        Check.Length(x, (long)shape.Height * shape.Width * shape.Channels, nameof(x));
        Check.Length(gamma, shape.Channels, nameof(gamma));
        Check.Length(beta, shape.Channels, nameof(beta));
        int stride = GemmTable.Layout(context.Isa).Padded(shape.Tokens);
        Check.Length(bias, (long)shape.Heads * shape.Tokens * stride, nameof(bias));
        fixed (float* px = x)
        fixed (float* pg = gamma)
        fixed (float* pb = beta)
        fixed (float* pt = bias)
        {
            var job = new Job(px, shape, pg, pb, eps, qkv.View, pt, projection.View, context.Isa);
            context.Run(ref job, job.Parts, job.ScratchFloats, MultiplyAdds(shape));
        }

        GC.KeepAlive(qkv);
        GC.KeepAlive(projection);
    }

    private readonly struct Job : IKernelJob
    {
        private readonly float* _x;
        private readonly float* _gamma;
        private readonly float* _beta;
        private readonly float* _bias;
        private readonly PackedView _qkv;
        private readonly PackedView _projection;
        private readonly WindowShape _shape;
        private readonly float _eps;
        private readonly int _group;

        public Job(float* x, WindowShape shape, float* gamma, float* beta, float eps, PackedView qkv, float* bias, PackedView projection, SimdIsa isa)
        {
            _x = x;
            _shape = shape;
            _gamma = gamma;
            _beta = beta;
            _eps = eps;
            _qkv = qkv;
            _bias = bias;
            _projection = projection;

            // Enough windows to fill the tiles' rows and to use the weights well while they are in the cache, but no more intermediates than it holds.
            int rows = Math.Max(192, 65536 / shape.Channels);
            _group = Math.Min(shape.Windows, (rows + shape.Tokens - 1) / shape.Tokens);
            Parts = (shape.Windows + _group - 1) / _group;
            AttentionFloats = AttentionCore.ScratchFloats(isa, shape.Tokens, shape.Channels / shape.Heads);
        }

        public int Parts { get; }

        public long ScratchFloats => CellFloats + AttentionFloats + (GroupRows * (_shape.Channels + (long)QkvStride)) + GemmCore.PanelFloats(GemmCore.BlockRows);

        private long AttentionFloats { get; }

        /// <summary>For the address of each row's cell.</summary>
        private int CellFloats => GroupRows * sizeof(float*) / sizeof(float);

        private int GroupRows => GemmCore.PaddedRows(_group * _shape.Tokens);

        // The projection's output reuses the memory of queries, keys and values.
        private int QkvStride => Math.Max(_qkv.PaddedColumns, _projection.PaddedColumns);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int channels = _shape.Channels, tokens = _shape.Tokens;
            int first = part * _group, windows = Math.Min(_group, _shape.Windows - first), rows = windows * tokens;
            float** cellOf = (float**)scratch;
            float* attention = scratch + CellFloats;
            float* normed = attention + AttentionFloats;
            float* qkv = normed + ((nint)GroupRows * channels);
            float* panel = qkv + ((nint)GroupRows * QkvStride);

            // Where each row's cell is, or null, is found once: it takes divisions. Only cells of the map are projected; padding has the bias for queries, keys and values,
            // and no output.
            int cells = 0;
            for (int row = 0; row < rows; row++)
            {
                float* cell = cellOf[row] = Cell(first + (row / tokens), row % tokens);
                if (cell is not null)
                    Rows.LayerNorm<TOps, TVec>(cell, _gamma, _beta, _eps, normed + ((nint)cells++ * channels), channels);
            }

            var source = new DenseRows(normed, channels);
            int stride = _qkv.PaddedColumns;
            GemmCore.MultiplyAll<DenseRows, TOps, TVec, TTile>(ref source, cells, _qkv, qkv, stride, panel);
            Spread<TOps, TVec>(cellOf, rows, cells, qkv, stride);
            float* y = normed;
            for (int window = 0; window < windows; window++)
                y += (nint)Attend<TOps, TVec, TTile>(first + window, cellOf + (window * tokens), qkv + ((nint)window * tokens * stride), stride, y, attention) * channels;

            stride = _projection.PaddedColumns;
            GemmCore.MultiplyAll<DenseRows, TOps, TVec, TTile>(ref source, cells, _projection, qkv, stride, panel);
            float* update = qkv;
            for (int row = 0; row < rows; row++)
            {
                float* cell = cellOf[row];
                if (cell is null)
                    continue;
                Rows.Add<TOps, TVec>(update, cell, cell, channels);
                update += stride;
            }
        }

        /// <summary>Moves the rows of cells to their windows' places, from the back, and gives padding its values.</summary>
        private void Spread<TOps, TVec>(float** cellOf, int rows, int cells, float* qkv, int stride)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            // From here on down every row is where it belongs.
            for (int row = rows - 1; row >= cells; row--)
                Rows.Copy<TOps, TVec>(cellOf[row] is not null ? qkv + ((nint)(--cells) * stride) : _qkv.Bias, qkv + ((nint)row * stride), stride);
        }

        /// <summary>Attention of one window.</summary>
        /// <param name="window">Its number.</param>
        /// <param name="cellOf">Its tokens' cells, null for padding.</param>
        /// <param name="qkv">Its tokens' queries, keys and values.</param>
        /// <param name="stride">Floats from one token to the next.</param>
        /// <param name="y">Receives the rows of the tokens that are cells of the map.</param>
        /// <param name="scratch">For the products.</param>
        /// <returns>How many these are.</returns>
        private int Attend<TOps, TVec, TTile>(int window, float** cellOf, float* qkv, int stride, float* y, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int channels = _shape.Channels, tokens = _shape.Tokens, headDim = channels / _shape.Heads;
            float scale = 1f / MathF.Sqrt(headDim);
            byte* bands = stackalloc byte[tokens];
            bool masked = _shape.Shift > 0 && FillBands(window, bands);
            int cells = 0;
            for (int i = 0; i < tokens; i++)
                cells += cellOf[i] is not null ? 1 : 0;
            var core = new AttentionCore(scratch, tokens, headDim, TTile.Layout);
            int wide = core.ScoreStride;
            for (int head = 0; head < _shape.Heads; head++)
            {
                float* q = qkv + (head * headDim);
                core.Scores<TOps, TVec, TTile>(q, stride, q + channels, stride);
                float* bias = _bias + ((nint)head * tokens * wide);
                for (int i = 0; i < tokens; i++, bias += wide)
                {
                    float* row = core.ScoreRow(i);
                    ScaleAndAdd<TOps, TVec>(row, scale, bias, wide);
                    if (masked)
                    {
                        for (int j = 0; j < tokens; j++)
                        {
                            if (bands[i] != bands[j])
                                row[j] += MaskedScore;
                        }
                    }

                    Rows.Softmax<TOps, TVec>(row, wide);
                }

                core.WeightedValues<TOps, TVec, TTile>(q + (2 * channels), stride);
                float* target = y + (head * headDim);
                for (int i = 0; i < tokens; i++)
                {
                    if (cellOf[i] is null)
                        continue;
                    Rows.Copy<TOps, TVec>(core.OutputRow(i), target, headDim);
                    target += channels;
                }
            }

            return cells;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void ScaleAndAdd<TOps, TVec>(float* row, float scale, float* bias, int count)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            // Padded to whole vectors.
            TVec s = TOps.Broadcast(scale);
            for (int i = 0; i < count; i += TOps.Width)
                TOps.Store(TOps.MultiplyAdd(TOps.Load(row + i), s, TOps.Load(bias + i)), row + i);
        }

        /// <summary>Address of a window's token in the map, or null if it is padding.</summary>
        private float* Cell(int window, int token)
        {
            (int y, int x) = Position(window, token);
            int paddedHeight = _shape.Windows / _shape.WindowsAcross * _shape.Window, paddedWidth = _shape.WindowsAcross * _shape.Window;
            y = (y + _shape.Shift) % paddedHeight;
            x = (x + _shape.Shift) % paddedWidth;
            return y < _shape.Height && x < _shape.Width ? _x + ((((nint)y * _shape.Width) + x) * _shape.Channels) : null;
        }

        /// <summary>Row and column in the shifted, padded map.</summary>
        private (int Y, int X) Position(int window, int token) =>
            ((window / _shape.WindowsAcross * _shape.Window) + (token / _shape.Window),
             (window % _shape.WindowsAcross * _shape.Window) + (token % _shape.Window));

        /// <summary>Numbers the bands that a window's tokens come from; false if all come from one.</summary>
        private bool FillBands(int window, byte* bands)
        {
            int height = _shape.Windows / _shape.WindowsAcross * _shape.Window, width = _shape.WindowsAcross * _shape.Window;
            bool mixed = false;
            for (int token = 0; token < _shape.Tokens; token++)
            {
                (int y, int x) = Position(window, token);
                bands[token] = (byte)((3 * Band(y, height)) + Band(x, width));
                mixed |= bands[token] != bands[0];
            }

            return mixed;
        }

        private int Band(int position, int length) => position < length - _shape.Window ? 0 : position < length - _shape.Shift ? 1 : 2;
    }
}
