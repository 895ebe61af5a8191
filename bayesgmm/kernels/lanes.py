"""Four doubles at a time: the few vector operations that matrix tiles in registers are made of.

LLVM vectorises simple loops by itself, but keeps no block of a matrix product in registers. These intrinsics say what to keep;
LLVM chooses the machine's instructions for them, whatever its vectors' width. No bounds are checked.
"""

# ruff: noqa: ARG001  # numba fixes the signatures of intrinsics

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic

LANES = 4
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_MAY_FUSE = ("contract",)  # a product and a sum may become one fused instruction


class Lanes(types.Type):
    """Numba's type of four doubles."""

    def __init__(self):
        super().__init__(name="Lanes")


@register_default(Lanes)
class _LanesModel(models.PrimitiveModel):
    """Held as one LLVM vector."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _VECTOR)


lanes = Lanes()


def _pointer(context, builder, signature, args):
    """Address of an element of the array that is the first argument."""
    array_type, array = signature.args[0], args[0]
    indices = args[1 : 1 + array_type.ndim]
    array = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, array, indices, wraparound=False)


def _spread(builder, value):
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), mask)


@intrinsic
def load(typingctx, matrix, i, j):
    """matrix[i, j : j + 4]."""

    def generate(context, builder, signature, args):
        pointer = builder.bitcast(_pointer(context, builder, signature, args), _VECTOR.as_pointer())
        return builder.load(pointer, align=8)

    return lanes(matrix, types.intp, types.intp), generate


@intrinsic
def store(typingctx, matrix, i, j, value):
    """matrix[i, j : j + 4] = value."""

    def generate(context, builder, signature, args):
        pointer = builder.bitcast(_pointer(context, builder, signature, args), _VECTOR.as_pointer())
        builder.store(args[3], pointer, align=8)
        return context.get_dummy_value()

    return types.void(matrix, types.intp, types.intp, lanes), generate


@intrinsic
def spread(typingctx, matrix, i, j):
    """matrix[i, j] in every lane."""

    def generate(context, builder, signature, args):
        return _spread(builder, builder.load(_pointer(context, builder, signature, args)))

    return lanes(matrix, types.intp, types.intp), generate


@intrinsic
def spread_item(typingctx, vector, i):
    """vector[i] in every lane."""

    def generate(context, builder, signature, args):
        return _spread(builder, builder.load(_pointer(context, builder, signature, args)))

    return lanes(vector, types.intp), generate


@intrinsic
def zero(typingctx):
    """0 in every lane."""

    def generate(context, builder, signature, args):
        return ir.Constant(_VECTOR, [0.0] * LANES)

    return lanes(), generate


@intrinsic
def add_to(typingctx, matrix, i, j, value):
    """matrix[i, j : j + 4] += value."""

    def generate(context, builder, signature, args):
        pointer = builder.bitcast(_pointer(context, builder, signature, args), _VECTOR.as_pointer())
        builder.store(builder.fadd(builder.load(pointer, align=8), args[3]), pointer, align=8)
        return context.get_dummy_value()

    return types.void(matrix, types.intp, types.intp, lanes), generate


@intrinsic
def plus(typingctx, a, b):
    """a + b."""

    def generate(context, builder, signature, args):
        return builder.fadd(*args)

    return lanes(lanes, lanes), generate


@intrinsic
def minus(typingctx, a, b):
    """a - b."""

    def generate(context, builder, signature, args):
        return builder.fsub(*args)

    return lanes(lanes, lanes), generate


@intrinsic
def times(typingctx, a, b):
    """a * b."""

    def generate(context, builder, signature, args):
        return builder.fmul(*args)

    return lanes(lanes, lanes), generate


@intrinsic
def plus_product(typingctx, total, a, b):
    """total + a * b."""

    def generate(context, builder, signature, args):
        return builder.fadd(args[0], builder.fmul(*args[1:], flags=_MAY_FUSE), flags=_MAY_FUSE)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def minus_product(typingctx, total, a, b):
    """total - a * b."""

    def generate(context, builder, signature, args):
        return builder.fsub(args[0], builder.fmul(*args[1:], flags=_MAY_FUSE), flags=_MAY_FUSE)

    return lanes(lanes, lanes, lanes), generate
