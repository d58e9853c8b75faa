using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Model.Bert;
using Glip.Managed.Model.Fusion;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.DyHead;

/// <summary>The tower: DyConv layers, each preceded by fusion and a text layer where the model has deep fusion.</summary>
internal sealed class DyHeadTower
{
    private readonly int _channels;
    private readonly int _textWidth;
    private readonly VLFuse[] _fuse;
    private readonly BertLayer[] _text;
    private readonly DyConv[] _dyConv;

    public DyHeadTower(WeightReader weights, GlipConfig config, FusionOrder order)
    {
        _channels = config.Channels;
        _textWidth = config.Bert.HiddenSize;
        int layers = config.NumConvs;
        _dyConv = new DyConv[layers];
        _fuse = new VLFuse[config.EarlyFuse ? layers : 0];
        _text = new BertLayer[_fuse.Length];
        for (int t = 0; t < layers; t++)
        {
            // In the checkpoint all modules of all layers are numbered through.
            int module = config.EarlyFuse ? 3 * t : t;
            if (config.EarlyFuse)
            {
                _fuse[t] = new VLFuse(weights.Under($"{module++}.b_attn."), config.Fusion!, config.Channels, _textWidth, order);
                _text[t] = new BertLayer(weights.Under($"{module++}."), config.Bert, VLFuse.Clamp);
            }

            _dyConv[t] = new DyConv(weights.Under($"{module}."), config.Channels, config.GroupNormGroups);
        }
    }

    /// <summary>Updates <paramref name="visual"/> [A, C] and <paramref name="text"/> [L, text channels] in place; the first <paramref name="attended"/> tokens are real.</summary>
    public void Forward(ForwardPass pass, Span<float> visual, Pyramid pyramid, Span<float> text, int tokens, int attended)
    {
        using WorkspaceBuffer keyBias = BertEncoder.PaddingBias(pass, tokens, attended);
        using WorkspaceBuffer other = pass.Rent(pyramid.Cells, _channels);
        Span<float> from = visual, to = other;
        int module = 0;
        for (int t = 0; t < _dyConv.Length; t++)
        {
            if (_fuse.Length > 0)
            {
                pass.Checkpoint();
                _fuse[t].Forward(pass, from, pyramid.Cells, text, tokens, attended);
                pass.Mark("VLFuse");
                TraceLevels(pass, module, "VLFuse", from, pyramid);
                pass.Trace?.Tokens($"tower.{module++}.VLFuse.hidden", text, attended, _textWidth);
                _text[t].Forward(pass, text, tokens, keyBias);
                pass.Mark("text layers");
                pass.Trace?.Tokens($"tower.{module++}.BertEncoderLayer.hidden", text, attended, _textWidth);
            }

            _dyConv[t].Forward(pass, from, pyramid, to);
            pass.Mark("DyConv");
            TraceLevels(pass, module++, "DyConv", to, pyramid);
            Span<float> swap = from;
            from = to;
            to = swap;
        }

        // An odd number of layers leaves the result in the other buffer.
        if (_dyConv.Length % 2 == 1 && !pass.IsPlanning)
            from.CopyTo(visual);
    }

    private void TraceLevels(ForwardPass pass, int module, string name, ReadOnlySpan<float> visual, Pyramid pyramid)
    {
        if (pass.Trace is null)
            return;
        for (int level = 0; level < pyramid.Levels; level++)
        {
            MapSize size = pyramid[level];
            pass.Trace.Map($"tower.{module}.{name}.visual.{Pyramid.Name(level)}", pyramid.Level(visual, level, _channels), size.Height, size.Width, _channels);
        }
    }
}
