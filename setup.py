"""The extension and the package list; everything else is in pyproject.toml."""

import os
from glob import glob

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = bool(os.environ.get("GLYPHWIRE_DEBUG_BUILD"))
OPTIMISE = ["-O0", "-g"] if DEBUG else ["-O3"]
ALIGNED = ["-falign-functions=64", "-falign-loops=32"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
SANITIZE = SANITIZERS if os.environ.get("GLYPHWIRE_SANITIZE") else []
NARROWER = [(name, None) for name in ("GLYPHWIRE_PORTABLE", "GLYPHWIRE_AVX2") if os.environ.get(name)]

setup(
    packages=[
        "ocr_core",
        "ocr_core.layout",
        "ocr_core.prepare",
        "ocr_core.rules",
        "ext",
        "gateway",
        "server",
        "server.stubs",
        "training",
        "training.compress",
        "training.synth",
    ],
    package_data={
        "gateway": ["web/*", "web/*/*"],
        "ext": ["ctc.pyi", "measures.pyi", "ngrams.pyi", "py.typed"],
        "ocr_core": ["py.typed", "quality_report.css"],
        "training.synth": ["*.toml", "*.txt", "bundled/*.txt"],
    },
    ext_modules=cythonize(
        [
            Extension(
                "ext.ctc",
                ["ext/ctc.pyx"],
                depends=[*glob("ext/*.h"), *glob("ext/*.pxi")],
                include_dirs=[numpy.get_include()],
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), *NARROWER],
                # A fused multiply-add rounds once where the reference rounds twice. Vectors pass between functions only
                # where they are inlined, so their calling convention does not matter. Where a loop begins decides on up
                # to a twentieth of its time, which otherwise would change with what is written before it.
                extra_compile_args=["-pthread", "-ffp-contract=off", "-Wno-psabi", *ALIGNED, *SANITIZE, *OPTIMISE],
                extra_link_args=["-pthread", *SANITIZE],
            ),
            Extension(
                "ext.ngrams",
                ["ext/ngrams.pyx"],
                extra_compile_args=[*SANITIZE, *OPTIMISE],
                extra_link_args=SANITIZE,
            ),
            Extension(
                "ext.measures",
                ["ext/measures.pyx"],
                depends=["ext/measures.h"],
                extra_compile_args=["-ffp-contract=off", *SANITIZE, *OPTIMISE],
                extra_link_args=SANITIZE,
            ),
        ],
        compiler_directives={"language_level": 3, "boundscheck": DEBUG, "wraparound": DEBUG, "cdivision": not DEBUG},
        annotate=bool(os.environ.get("ANNOTATE")),
    ),
)
