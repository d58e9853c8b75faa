"""ONNX graphs of single operations and of PyTorch modules, as ONNX Runtime likes them best.

Debian's torch exports up to opset 16. Deformable convolution is opset 19 and layer norm opset 17, so both are exported under a
name of our own and renamed afterwards, together with what changed between these opsets (`to_opset_19`).
"""

import pathlib
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.onnx import register_custom_op_symbolic
from torch.onnx.symbolic_helper import parse_args

EXPORTED_OPSET, OPSET, IR_VERSION = 16, 19, 9
OWN = "peers"  # the domain of operators that opset 16 lacks


# ---- Single operations -------------------------------------------------------------------------------------------------------


def random(*shape):
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32) / np.sqrt(np.prod(shape[1:], dtype=float)).astype(np.float32)


def single(path, node, inputs, constants, output):
    """A graph of one node. inputs: name -> shape; constants: name -> array; output: shape."""
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        [node], node.op_type, [value(name, shape) for name, shape in inputs.items()], [value(node.output[0], output)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()])
    write(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION), path)


def write(model, path):
    pathlib.Path(path).write_bytes(model.SerializeToString())


def gemm(path, m, n, k):
    """[M, K] times constant [K, N]: what a linear layer becomes."""
    single(path, helper.make_node("MatMul", ["x", "w"], ["y"]), {"x": [m, k]}, {"w": random(k, n)}, [m, n])


def conv(path, height, width, c_in, c_out, kernel, stride):
    size = lambda side: (side + 2 * (kernel // 2) - kernel) // stride + 1 if kernel % 2 else side // stride
    padding = kernel // 2 if kernel % 2 else 0
    node = helper.make_node(
        "Conv", ["x", "w", "b"], ["y"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[padding] * 4)
    single(path, node, {"x": [1, c_in, height, width]}, {"w": random(c_out, c_in, kernel, kernel), "b": random(c_out)},
           [1, c_out, size(height), size(width)])


def deform_conv(path, height, width, c_in, c_out, stride):
    h, w = (-(-side // stride) for side in (height, width))
    node = helper.make_node(
        "DeformConv", ["x", "w", "offset", "b", "mask"], ["y"], kernel_shape=[3, 3], strides=[stride] * 2, pads=[1] * 4)
    single(path, node, {"x": [1, c_in, height, width], "offset": [1, 18, h, w], "mask": [1, 9, h, w]},
           {"w": random(c_out, c_in, 3, 3), "b": random(c_out)}, [1, c_out, h, w])


# ---- Modules -----------------------------------------------------------------------------------------------------------------


@parse_args("v", "is", "v", "v", "f", "b")
def layer_norm(g, x, shape, weight, bias, epsilon, cudnn):
    return g.op(f"{OWN}::LayerNormalization", x, weight, bias, axis_i=-len(shape), epsilon_f=epsilon).setType(x.type())


@parse_args("v", "v", "v", "v", "v", "i", "i", "i", "i", "i", "i", "i", "i", "b")
def deform_conv2d(g, x, weight, offset, mask, bias, sh, sw, ph, pw, dh, dw, groups, offset_groups, use_mask):
    result = g.op(
        f"{OWN}::DeformConv", x, weight, offset, bias, mask, strides_i=[sh, sw], pads_i=[ph, pw, ph, pw],
        dilations_i=[dh, dw], group_i=groups, offset_group_i=offset_groups)
    sizes = [1, weight.type().sizes()[0], *offset.type().sizes()[2:]]
    return result.setType(x.type().with_sizes(sizes))


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
            do_constant_folding=True, custom_opsets={OWN: 1})
    write(to_opset_19(onnx.load(path)), path)
