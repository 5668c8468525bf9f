package glyphwire

import (
	"image"
	"image/draw"
	"os"

	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

// An ImageSource makes the message for one image when the image is about to be sent: File, Bytes, Raw or Pixels.
type ImageSource func() (*Image, error)

// File is an image file. It is read when it is about to be sent; what then goes wrong is the error of os.ReadFile.
func File(path string) ImageSource {
	return func() (*Image, error) {
		encoded, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return Bytes(encoded)()
	}
}

// Bytes is the content of an image file: JPEG, PNG, WebP, BMP, TIFF or GIF.
func Bytes(encoded []byte) ImageSource {
	return func() (*Image, error) {
		return &Image{Source: &glyphwirev1.Image_Encoded{Encoded: encoded}}, nil
	}
}

// Raw is uncompressed pixels in a layout of the contract, for callers that hold decoded frames. They are not copied
// before they are sent.
func Raw(raw *RawImage) ImageSource {
	return func() (*Image, error) {
		return &Image{Source: &glyphwirev1.Image_Raw{Raw: raw}}, nil
	}
}

// Pixels is a decoded image. Gray and NRGBA are sent as they are, others as a copy in NRGBA.
func Pixels(picture image.Image) ImageSource {
	return func() (*Image, error) {
		bounds := picture.Bounds()
		raw := &RawImage{Width: int32(bounds.Dx()), Height: int32(bounds.Dy())}
		switch pixels := picture.(type) {
		case *image.Gray:
			raw.PixelFormat, raw.Pixels, raw.Stride = PixelFormatGray8, pixels.Pix, int32(pixels.Stride)
		case *image.NRGBA:
			raw.PixelFormat, raw.Pixels, raw.Stride = PixelFormatRGBA32, pixels.Pix, int32(pixels.Stride)
		default:
			copied := image.NewNRGBA(bounds)
			draw.Draw(copied, bounds, picture, bounds.Min, draw.Src)
			raw.PixelFormat, raw.Pixels, raw.Stride = PixelFormatRGBA32, copied.Pix, int32(copied.Stride)
		}
		// A part of a larger image ends with what is right of and below it.
		if size := int(raw.Stride) * bounds.Dy(); len(raw.Pixels) > size {
			raw.Pixels = raw.Pixels[:size]
		}
		return Raw(raw)()
	}
}

// message of an image; none is the server's to refuse.
func (source ImageSource) message() (*Image, error) {
	if source == nil {
		return nil, nil
	}
	return source()
}
