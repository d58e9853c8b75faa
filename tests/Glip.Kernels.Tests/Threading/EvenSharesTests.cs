using FsCheck;
using FsCheck.Fluent;

namespace Glip.Kernels.Tests;

public class EvenSharesTests
{
    [Theory]
    [InlineData(12, 2, 4, 2, 3)] // 768 columns: four parts of 3 panels, not three of 4
    [InlineData(36, 2, 4, 2, 3)]
    [InlineData(48, 2, 4, 2, 4)]
    [InlineData(2, 1, 2, 2, 1)] // 70 rows: both workers find one block
    [InlineData(159, 1, 2, 2, 2)]
    [InlineData(3, 4, 6, 2, 4)] // fewer units than the least
    public void PartsAreLargeUnlessThatIsUneven(int units, int least, int most, int workers, int size) =>
        Assert.Equal(size, EvenShares.Size(units, least, most, workers));

    [Fact]
    public void NoSizeGivesTheBusiestWorkerLess() =>
        Prop.ForAll(Gen.Choose(1, 200).ToArbitrary(), Gen.Choose(1, 6).Two().ToArbitrary(), Gen.Choose(1, 5).Two().ToArbitrary(), (units, limits, crew) =>
        {
            int least = Math.Min(limits.Item1, limits.Item2), most = Math.Max(limits.Item1, limits.Item2);
            int chosen = EvenShares.Size(units, least, most, crew.Item1, crew.Item2);
            Assert.InRange(chosen, least, most);
            for (int other = least; other <= Math.Max(least, Math.Min(most, units)); other++)
                Assert.True(Busiest(chosen) < Busiest(other) || (Busiest(chosen) == Busiest(other) && chosen >= other), $"{chosen} against {other}");

            int Busiest(int size)
            {
                var shares = new int[crew.Item1];
                for (int part = 0; part < crew.Item2 * ((units + size - 1) / size); part++)
                    shares[part % shares.Length] += size;
                return shares.Max();
            }
        }).Check(Properties.Cases(200));
}
