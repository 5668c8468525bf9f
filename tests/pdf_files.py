"""PDF files for tests, written by hand: small, and as odd as a test needs them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence

from PIL import Image as PillowImage
from PIL import ImageDraw

A4 = (595, 842)


def pdf_file(*pages: bytes, extra: Mapping[str, bytes] | None = None) -> bytes:
    """Pages from their dictionaries' contents, without << and >>, and objects by name: /NAME becomes a reference.

    Pages have the font /F1, Helvetica, and may use the objects of `extra` in their own resources.
    """
    named = dict(extra or {})
    numbers = {name: 4 + number for number, name in enumerate(named)}
    first_page = 4 + len(named)
    kids = " ".join(f"{first_page + number} 0 R" for number in range(len(pages)))
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        font,
        *named.values(),
        *(b"<< /Type /Page /Parent 2 0 R " + page + b" >>" for page in pages),
    ]
    for name, number in numbers.items():
        objects = [each.replace(f"@{name}@".encode(), f"{number} 0 R".encode()) for each in objects]
    return assembled(objects)


def assembled(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A file of these objects, numbered from 1, of which the first is the catalogue."""
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(f"{number} 0 obj\n".encode() + body + b"\nendobj\n")
    start = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.writelines(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    out.write(f"trailer << /Size {len(objects) + 1} /Root 1 0 R ".encode() + trailer + b" >>\n")
    out.write(f"startxref\n{start}\n%%EOF\n".encode())
    return out.getvalue()


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """A stream object."""
    return b"<< /Length " + str(len(content)).encode() + b" " + entries + b" >>\nstream\n" + content + b"\nendstream"


def text_pdf(*texts: str, size: tuple[int, int] = A4, rotate: int = 0) -> bytes:
    """One page per text, its rows in 24 points from the top left on, as a text layer."""
    extra, pages = {}, []
    for number, text in enumerate(texts):
        rows = "".join(f"({row}) Tj 0 -30 Td " for row in text.split("\n"))
        extra[f"text{number}"] = stream(f"BT /F1 24 Tf 72 {size[1] - 100} Td {rows}ET".encode())
        pages.append(_page(size, f"@text{number}@", "", rotate))
    return pdf_file(*pages, extra=extra)


def scanned_pdf(*images: bytes, size: tuple[int, int] = A4, text: str = "") -> bytes:
    """One page per JPEG, which fills it. text: rows that each page has as text besides."""
    extra, pages = {}, []
    for number, image in enumerate(images):
        with PillowImage.open(io.BytesIO(image)) as opened:
            width, height, space = *opened.size, "DeviceGray" if opened.mode == "L" else "DeviceRGB"
        entries = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /{space}"
        extra[f"image{number}"] = stream(image, f"{entries} /BitsPerComponent 8 /Filter /DCTDecode".encode())
        rows = "".join(f"({row}) Tj 0 14 Td " for row in text.split("\n"))
        row = f"BT /F1 12 Tf 20 20 Td {rows}ET"
        extra[f"draw{number}"] = stream(f"q {size[0]} 0 0 {size[1]} 0 0 cm /I Do Q {row}".encode())
        pages.append(_page(size, f"@draw{number}@", f"/XObject << /I @image{number}@ >>", 0))
    return pdf_file(*pages, extra=extra)


def image_file(*texts: str, size: tuple[int, int] = (620, 877), form: str = "JPEG") -> bytes:
    """An image file with a frame per text; its rows, which must be ASCII, are drawn in Pillow's own font."""
    frames = []
    for text in texts:
        frame = PillowImage.new("L", size, 255)
        ImageDraw.Draw(frame).multiline_text((60, 60), text, fill=0, font_size=28, spacing=14)
        frames.append(frame)
    out = io.BytesIO()
    more = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
    frames[0].save(out, form, dpi=(75, 75), **more)
    return out.getvalue()


def encrypted_pdf(text: str, password: str) -> bytes:
    """A page with a text behind a password, with the standard security handler, revision 2 (RC4, 40 bits)."""
    pad = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
    padded = (password.encode() + pad)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)  # noqa: S324 - the format's own
    identity = bytes(16)
    permissions = (-4).to_bytes(4, "little", signed=True)
    key = hashlib.md5(padded + owner + permissions + identity).digest()[:5]  # noqa: S324
    user = _rc4(key, pad)
    body = f"BT /F1 24 Tf 72 700 Td ({text}) Tj ET".encode()
    secret = _rc4(hashlib.md5(key + (5).to_bytes(3, "little") + bytes(2)).digest()[:10], body)  # noqa: S324
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources << /Font << /F1 3 0 R >> >>"
        b" >>",
        stream(secret),
    ]
    entries = b"<" + owner.hex().encode() + b"> /U <" + user.hex().encode() + b">"
    handler = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O " + entries + b" >>"
    return assembled(objects, handler + b" /ID [<" + identity.hex().encode() + b"> <" + identity.hex().encode() + b">]")


def _rc4(key: bytes, data: bytes) -> bytes:
    """The cipher of old PDFs."""
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def _page(size: tuple[int, int], contents: str, resources: str, rotate: int) -> bytes:
    box = f"/MediaBox [0 0 {size[0]} {size[1]}] /Rotate {rotate}"
    return f"{box} /Contents {contents} /Resources << /Font << /F1 3 0 R >> {resources} >>".encode()
