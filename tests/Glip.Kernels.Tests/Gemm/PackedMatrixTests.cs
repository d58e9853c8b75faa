namespace Glip.Kernels.Tests;

public unsafe class PackedMatrixTests
{
    [Theory]
    [EachIsa]
    public void PanelsHoldColumnsSideBySideAndZerosBeyond(SimdIsa isa)
    {
        KernelContext context = TestContexts.Get(isa);
        PanelLayout layout = GemmTable.Layout(isa);
        int width = layout.Width;
        foreach (int columns in (int[])[1, layout.Granule + 1, width - 1, width, width + 1, (2 * width) + 1])
        {
            foreach (int depth in (int[])[1, 3, 20])
            {
                float[] rows = Noise.Uniform(1, columns * depth), bias = Noise.Uniform(2, columns), byColumns = new float[rows.Length];
                for (int i = 0; i < rows.Length; i++)
                    byColumns[(i % depth * columns) + (i / depth)] = rows[i];
                Canary weight = Canary.Of(rows), transposed = Canary.Of(byColumns), start = Canary.Of(bias);
                PackedMatrix[] matrices =
                    [PackedMatrix.FromRows(context, weight, columns, depth, start), PackedMatrix.FromColumns(context, transposed, depth, columns, start)];
                foreach (PackedMatrix matrix in matrices)
                    CheckPanels(matrix, rows, bias, columns, depth, layout);
            }
        }
    }

    [Fact]
    public void NoBiasIsZero()
    {
        PackedMatrix matrix = PackedMatrix.FromRows(TestContexts.Get(SimdIsas.Best), new float[6], 2, 3, []);
        Assert.Equal(0, matrix.View.Bias[0]);
        Assert.Equal(0, matrix.View.Bias[1]);
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        Refusal.NamesNull("context", () => PackedMatrix.FromRows(null!, new float[6], 2, 3, []));
        Refusal.NamesNull("context", () => PackedMatrix.FromColumns(null!, new float[6], 3, 2, []));
        Assert.Throws<ArgumentOutOfRangeException>("columns", () => PackedMatrix.FromRows(context, [], 0, 3, []));
        Assert.Throws<ArgumentOutOfRangeException>("depth", () => PackedMatrix.FromRows(context, [], 2, 0, []));
        Refusal.Names("weight", "weight needs 6 elements, has 5", () => PackedMatrix.FromRows(context, new float[5], 2, 3, []));
        Refusal.Names("weight", "weight needs 6 elements, has 5", () => PackedMatrix.FromColumns(context, new float[5], 3, 2, []));
        Refusal.Names("bias", "bias has 3 values for 2 columns", () => PackedMatrix.FromRows(context, new float[6], 2, 3, new float[3]));
    }

    [Fact]
    public void MemoryAndElementsMustFit()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        var shape = new PackedShape(9, 5, GemmTable.Layout(context.Isa), PanelType.Half);
        FixedMemory panels = FixedMemory.Pinned(shape.PanelBytes), bias = FixedMemory.Pinned(shape.BiasBytes);
        FixedMemory Short(FixedMemory memory) => memory.Slice(0, memory.Length - 1);
        Refusal.Names("panels", $"panels has {shape.PanelBytes - 1} bytes, needs {shape.PanelBytes}", () => _ = new PackedMatrix(shape, Short(panels), bias));
        Refusal.Names("bias", $"bias has {shape.BiasBytes - 1} bytes, needs {shape.BiasBytes}", () => _ = new PackedMatrix(shape, panels, Short(bias)));
        Assert.Throws<ArgumentOutOfRangeException>("offset", () => panels.Slice(1, panels.Length));
        Assert.Throws<ArgumentOutOfRangeException>("offset", () => panels.Slice(-1, 1));
        var matrix = new PackedMatrix(shape, panels, bias);
        Refusal.Names("weight", "weight has elements of 4 bytes, the panels are of type Half", () => matrix.PackRows(context, new float[45], []));
        Refusal.Names("weight", "weight needs 45 elements, has 44", () => matrix.PackRows(context, new ushort[44], []));
        Refusal.Names("weight", "weight has elements of 2 bytes, the panels are of type Single", () =>
            PackedMatrix.FromRows(context, new float[45], 9, 5, []).PackColumns(context, new ushort[45], []));
    }

    private static long WholeLines(long bytes) => (bytes + 63) / 64 * 64;

    private static void CheckPanels(PackedMatrix matrix, float[] rows, float[] bias, int columns, int depth, PanelLayout layout)
    {
        PackedView view = matrix.View;
        Assert.Equal((columns, depth, layout), (matrix.Columns, matrix.Depth, matrix.Layout));
        Assert.Equal((columns + layout.Granule - 1) / layout.Granule * layout.Granule, view.PaddedColumns);
        Assert.Equal(0u, (nuint)view.Panels % 64);
        Assert.Equal(WholeLines(4L * view.PaddedColumns * depth) + WholeLines(4L * view.PaddedColumns), matrix.Bytes);
        for (int j = 0; j < view.PaddedColumns; j++)
        {
            Assert.Equal(j < columns ? bias[j] : 0, view.Bias[j]);
            int first = j / layout.Width * layout.Width, width = Math.Min(layout.Width, view.PaddedColumns - first);
            for (int k = 0; k < depth; k++)
                Assert.Equal(j < columns ? rows[(j * depth) + k] : 0, view.Panels[(first * depth) + (k * width) + (j - first)]);
        }
    }
}
