"""ONNX graphs of PyTorch modules, as ONNX Runtime likes them best.

Debian's torch exports up to opset 16. Deformable convolution is opset 19 and layer norm opset 17, so both are exported under a
name of our own and renamed afterwards, together with what changed between these opsets (`to_opset_19`).
"""

import pathlib
import warnings

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch.onnx import register_custom_op_symbolic
from torch.onnx.symbolic_helper import parse_args

EXPORTED_OPSET, OPSET, IR_VERSION = 16, 19, 9
OWN = "peers"  # the domain of operators that opset 16 lacks


@parse_args("v", "is", "v", "v", "f", "b")
def layer_norm(g, x, shape, weight, bias, epsilon, cudnn):
    return g.op(f"{OWN}::LayerNormalization", x, weight, bias, axis_i=-len(shape), epsilon_f=epsilon).setType(g.original_node.output().type())


@parse_args("v", "v", "v", "v", "v", "i", "i", "i", "i", "i", "i", "i", "i", "b")
def deform_conv2d(g, x, weight, offset, mask, bias, sh, sw, ph, pw, dh, dw, groups, offset_groups, use_mask):
    result = g.op(
        f"{OWN}::DeformConv", x, weight, offset, bias, mask, strides_i=[sh, sw], pads_i=[ph, pw, ph, pw],
        dilations_i=[dh, dw], group_i=groups, offset_group_i=offset_groups)
    return result.setType(g.original_node.output().type())


def to_opset_19(model):
    """Renames our own operators and rewrites what changed after opset 16: the axes of reductions became an input."""
    graph = model.graph
    for i, node in enumerate(graph.node):
        if node.domain == OWN:
            node.domain = ""
        elif node.op_type in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2") and any(a.name == "axes" for a in node.attribute):
            axes = next(a for a in node.attribute if a.name == "axes")
            name = f"axes_{i}"
            graph.initializer.append(numpy_helper.from_array(np.array(axes.ints, np.int64), name))
            node.input.append(name)
            node.attribute.remove(axes)
        elif node.op_type == "Split" and len(node.input) == 1:
            node.attribute.append(helper.make_attribute("num_outputs", len(node.output)))
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    model.ir_version = IR_VERSION
    del graph.value_info[:]
    return model


def export(module, inputs, path, names, outputs):
    """Writes a module as a graph of fixed shapes at opset 19. inputs: example tensors; names, outputs: of the graph's ends."""
    register_custom_op_symbolic("::layer_norm", layer_norm, EXPORTED_OPSET)
    register_custom_op_symbolic("torchvision::deform_conv2d", deform_conv2d, EXPORTED_OPSET)
    path = pathlib.Path(path)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of every shape that it fixes, which is what we want
        torch.onnx.export(
            module, inputs, path, input_names=names, output_names=outputs, opset_version=EXPORTED_OPSET,
            do_constant_folding=True)
    path.write_bytes(to_opset_19(onnx.load(path)).SerializeToString())
