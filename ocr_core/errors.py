"""Everything that can go wrong in the recognition pipeline.

OcrError
├── InputError                  the caller's fault; the message may be shown to the caller
│   ├── ImageEmpty              no bytes
│   ├── ImageUndecodable        not an image, damaged, or cut short
│   ├── ImageTooLarge           over a byte, pixel or side limit
│   ├── ImageTooSmall           a side too short to hold text
│   ├── RawImageInvalid         pixels do not match their width, height, stride and format
│   ├── OptionInvalid           option out of range, not a number, or excluding another
│   ├── DocumentUnreadable      no document of a known format, damaged, or cut short
│   ├── DocumentEncrypted       a PDF that does not open with the password
│   ├── DocumentTooLarge        over a limit on bytes or pages
│   ├── PageUnreadable          a page that cannot be rendered, or not within its time and memory
│   └── ModelNotFound           no bundle of that name and version
├── ModelRejected               a bundle cannot be loaded at run time; what was there before stays
├── ModelIsDefault              a model cannot be unloaded, as requests that name none would find nothing
├── ModelFailed                 our fault: emitted no probabilities, or not as many classes as its charset
├── LanguageInvalid             our fault: a file of language knowledge cannot be understood
└── SetupError                  the operator's fault; raised while starting, never for a request
    ├── BundleInvalid           model.json or weights missing, inconsistent or altered
    ├── RecipeFailed            a model recipe could not be carried out
    └── BackendMissing          compiled kernels are not there
"""


class OcrError(Exception):
    """Base of all errors raised by ocr_core. `message` is for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InputError(OcrError):
    """The caller's fault. `field` names the part of the request at fault, or is empty."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ImageEmpty(InputError):
    """The image has no bytes."""


class ImageUndecodable(InputError):
    """The bytes are no image of a known format, or are damaged or cut short."""


class ImageTooLarge(InputError):
    """The image is over a byte, pixel or side limit."""


class ImageTooSmall(InputError):
    """A side of the image has too few pixels to hold text."""


class RawImageInvalid(InputError):
    """The raw pixels do not match their width, height, stride and format."""


class OptionInvalid(InputError):
    """An option is out of its range, not a number, or excludes another."""


class DocumentUnreadable(InputError):
    """The bytes are no document of a known format, or are damaged or cut short."""


class DocumentEncrypted(InputError):
    """The PDF does not open with the password, or without one."""


class DocumentTooLarge(InputError):
    """The document is over a limit on bytes or pages."""


class PageUnreadable(InputError):
    """A page cannot be rendered, or not within its time and memory; others of its document may be fine."""


class ModelNotFound(InputError):
    """No model of that name and version is loaded."""


class ModelRejected(OcrError):
    """A bundle is invalid or did not pass its check, so it was not loaded; the message says why."""


class ModelIsDefault(OcrError):
    """The model is the last that requests which name none can be read by."""


class ModelFailed(OcrError):
    """The model emitted values that are no probabilities, or another number of classes than its charset has.

    Our fault, found while a request runs.
    """


class LanguageInvalid(OcrError):
    """A file of language knowledge cannot be understood. Our fault, found when a request first needs the file."""


class SetupError(OcrError):
    """The operator's fault, found while starting."""


class BundleInvalid(SetupError):
    """A model bundle is missing parts, inconsistent or altered."""


class RecipeFailed(SetupError):
    """A model recipe could not be carried out."""


class BackendMissing(SetupError):
    """Compiled kernels are not built."""
