"""Noise, blur and slope of images of text. measures.h says how they are found; images are uint8, sketches grey."""

from libc.stdint cimport uint8_t


cdef extern from "measures.h" nogil:
    enum: MOST_SIDE
    enum: MOST_POINTS

    ctypedef struct View:
        const uint8_t* first
        Py_ssize_t height, width, row_stride, pixel_stride

    ctypedef struct Piece:
        Py_ssize_t top, left, bottom, right

    ctypedef struct Strokes:
        Piece* pieces
        int count
        double noise, blur

    ctypedef struct Slope:
        double degrees, clearness

    int find_strokes(const View* image, const View* sketch, Strokes* found)
    int find_slope(const View* sketch, const float* within, Slope* found)


cdef View view_of_sketch(const uint8_t[:, ::1] sketch) except *:
    if not 0 < sketch.shape[0] <= MOST_SIDE or not 0 < sketch.shape[1] <= MOST_SIDE:
        raise ValueError(f"the sketch is {sketch.shape[1]} x {sketch.shape[0]}, must have 1 to {MOST_SIDE} a side")
    return View(&sketch[0, 0], sketch.shape[0], sketch.shape[1], sketch.strides[0], 1)


def strokes(const uint8_t[:, :, :] image, const uint8_t[:, ::1] sketch):
    """Standard deviation of noise in grey levels, that of the blur of the sharpest edges in pixels (0 where there are
    none), and where that was seen: top, left, bottom and right of the pieces with most edges, or of the whole.

    image: RGB, uint8 [height, width, 3]. sketch: a grey copy of at most 512 pixels a side, or the whole of a small image.
    """
    cdef View small = view_of_sketch(sketch), large
    cdef Strokes found
    cdef int ok
    if image.shape[0] < sketch.shape[0] or image.shape[1] < sketch.shape[1]:
        raise ValueError("the image must be no smaller than its sketch")
    if image.shape[2] != 3 or image.strides[2] != 1:
        raise ValueError("the image must be RGB, with the bytes of a pixel side by side")
    large = View(&image[0, 0, 0], image.shape[0], image.shape[1], image.strides[0], image.strides[1])
    with nogil:
        ok = find_strokes(&large, &small, &found)
    if not ok:
        raise MemoryError
    pieces = [(piece.top, piece.left, piece.bottom, piece.right) for piece in found.pieces[: found.count]]
    return found.noise, found.blur, pieces


def slope(const uint8_t[:, ::1] sketch, const float[:, ::1] within):
    """Clockwise slope of text in degrees, and how much better edges pile up at it than when level; 0 and 1 if unknown.

    sketch: grey, at most 512 pixels a side. within: from 0 to 1 [600, 2], where each point lies within its pixel.
    """
    cdef View small = view_of_sketch(sketch)
    cdef Slope found
    cdef int ok
    if within.shape[0] < MOST_POINTS or within.shape[1] != 2:
        raise ValueError(f"places within a pixel must be [{MOST_POINTS}, 2]")
    with nogil:
        ok = find_slope(&small, &within[0, 0], &found)
    if not ok:
        raise MemoryError
    return found.degrees, found.clearness
