# The fields of a scene: their table, and values in the form that C reads; part of _core.pyx.

cdef class _Field:
    """A field of a scene, as csrc/fields.c has it."""

    cdef readonly str name
    cdef readonly nb_field_kind kind
    cdef readonly int64_t offset, length
    cdef readonly tuple shape
    """extents: numbers, or names of counts"""


cdef _Field _field(const nb_field *entry, dict lengths):
    cdef _Field field = _Field()
    field.name = (<bytes>entry.name).decode()
    field.kind, field.offset, field.length = entry.kind, entry.offset, entry.length
    extents = []
    for word in (<bytes>entry.shape).decode().split():
        if word.isdigit():
            extents.append(int(word))
        else:
            extents += [word] if lengths[word] == 1 else [f"{word}[{i}]" for i in range(lengths[word])]
    field.shape = tuple(extents)
    return field


def _read_fields():
    """The fields in order, and where the counts are."""
    cdef const nb_field *entry
    cdef int number = 0
    lengths, counts, numbers = {}, {}, []
    while True:
        entry = nb_scene_field(number)
        if entry == NULL:
            break
        if entry.kind == NB_FIELD_COUNT:
            name = (<bytes>entry.name).decode()
            lengths[name] = entry.length
            for i in range(entry.length):
                counts[name if entry.length == 1 else f"{name}[{i}]"] = entry.offset + i * sizeof(int64_t)
        else:
            numbers.append(number)
        number += 1
    return [_field(nb_scene_field(<int>i), lengths) for i in numbers], counts


cdef list _FIELDS
cdef dict _COUNTS
_FIELDS, _COUNTS = _read_fields()

scene_fields = tuple([(field.name, field.shape) for field in _FIELDS])
"""Name and shape of every field of a scene in the header's order; extents are numbers or names of counts."""


def _floats(name, value, shape):
    """The value as a contiguous float64 array of the shape (-1: any length)."""
    if type(value) is _ndarray and value.shape == shape and value.dtype is _float64 and value.flags.c_contiguous:
        return value
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise CoreError(f"scene.{name}: must be an array of real numbers, not of dtype {value.dtype}")
    if value.ndim != len(shape) or any(want not in (-1, got) for want, got in zip(shape, value.shape)):
        text = ", ".join("n" if n < 0 else str(n) for n in shape)
        raise CoreError(f"scene.{name}: must have the shape ({text}), not {value.shape}")
    return np.ascontiguousarray(value, dtype=np.float64)


cdef object _ndarray = np.ndarray
cdef object _float64 = np.dtype(np.float64)


def _indices(name, value, shape):
    """The value as a contiguous vector of int64 of the shape (-1: any length)."""
    value = np.asarray(value)
    if value.ndim != 1 or value.dtype.kind not in "iu":
        raise CoreError(f"scene.{name}: must be a vector of integers, not {value.dtype} of shape {value.shape}")
    if shape[0] not in (-1, len(value)):
        raise CoreError(f"scene.{name}: must have {shape[0]} elements, not {len(value)}")
    return np.ascontiguousarray(value, dtype=np.int64)


def _integer(name, value):
    """The value as an integer that fits into 64 bits."""
    try:
        number = int(value.__index__())
    except (AttributeError, TypeError):
        raise CoreError(f"scene.{name}={value!r}: must be an integer") from None
    if not -(1 << 63) <= number < 1 << 63:
        raise CoreError(f"scene.{name}={value!r}: is too large")
    return number


def _small(name, value):
    """The value as an integer that fits into 32 bits."""
    number = _integer(name, value)
    if not -(1 << 31) <= number < 1 << 31:
        raise CoreError(f"scene.{name}={value!r}: is too large")
    return number


def _bits(quirks):
    """The quirks as a number."""
    bits = 0
    for quirk in quirks:
        if quirk.name not in _QUIRK_BITS:
            raise CoreError(f"scene.quirks: {quirk.name} is not one that a kernel knows")
        bits |= _QUIRK_BITS[quirk.name]
    return bits
