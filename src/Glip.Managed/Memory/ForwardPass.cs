using Glip.Kernels;
using Glip.Managed.Diagnostics;

namespace Glip.Managed.Memory;

/// <summary>What every layer's forward method is handed: how to compute, where to put activations, whom to tell.</summary>
internal sealed class ForwardPass(KernelContext kernels, Workspace workspace)
{
    /// <summary>Instruction set and workers.</summary>
    public KernelContext Kernels { get; } = kernels;

    /// <summary>Memory for activations.</summary>
    public Workspace Workspace { get; } = workspace;

    /// <summary>Receives every stage, or null.</summary>
    public StageTrace? Trace { get; set; }

    /// <summary>Receives what each part of the network cost, or null.</summary>
    public StageProfile? Profile { get; set; }

    /// <summary>True if this pass only measures memory: spans have no memory behind them and kernels do nothing.</summary>
    public bool IsPlanning => Kernels.IsPlanning;

    /// <summary>Memory for activations.</summary>
    public WorkspaceBuffer Rent(int floats) => Workspace.Rent(floats);

    /// <summary>Memory for a product of sizes.</summary>
    public WorkspaceBuffer Rent(int rows, int columns) => Workspace.Rent(checked(rows * columns));

    /// <summary>What was done since the last mark belongs to <paramref name="stage"/>.</summary>
    public void Mark(string stage) => Profile?.Mark(stage, Kernels.MultiplyAdds, Workspace.TakeRecentPeakFloats() * sizeof(float));

    /// <summary>Throws if the caller gave up. Called between layers; kernels look for themselves.</summary>
    public void Checkpoint() => Kernels.CancellationToken.ThrowIfCancellationRequested();
}
