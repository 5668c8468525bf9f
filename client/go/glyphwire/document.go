package glyphwire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

const chunkBytes = 1 << 20

// A DocumentSource opens a document when it is about to be sent: DocumentFile, DocumentBytes, DocumentReader.
type DocumentSource func() (io.ReadCloser, error)

// DocumentFile is a file: a PDF, a TIFF of several pages, or any image.
func DocumentFile(path string) DocumentSource {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}

// DocumentBytes is the content of such a file.
func DocumentBytes(content []byte) DocumentSource {
	return DocumentReader(bytes.NewReader(content))
}

// DocumentReader is such a file as it is read, once and to its end.
func DocumentReader(reader io.Reader) DocumentSource {
	return func() (io.ReadCloser, error) { return io.NopCloser(reader), nil }
}

// DocumentPages iterates over the pages of a document, once. From Go 1.23 on it can be ranged over:
//
//	for page, err := range client.RecognizeDocument(ctx, glyphwire.DocumentFile("scan.pdf"), nil) {
//
// The error is that of the document as a whole: it comes last, with no page. Leaving the loop cancels the rest.
type DocumentPages func(yield func(DocumentPage, error) bool)

// Each calls handle with each page, and returns the error of the document, or the first one of handle, which cancels the
// rest.
func (pages DocumentPages) Each(handle func(DocumentPage) error) error {
	var failure error
	pages(func(page DocumentPage, err error) bool {
		if failure = err; err == nil {
			failure = handle(page)
		}
		return failure == nil
	})
	return failure
}

// DocumentPage is what became of one page: Recognition, or Err when this page could not be read. PageNumber is from 1,
// PageCount that of the document; PagesDone, this one included, and PagesSelected say how far it has got. DPI is that of the
// pixels in which the recognition is; 0 when an image file does not say.
type DocumentPage struct {
	PageNumber    int
	PageCount     int
	PagesDone     int
	PagesSelected int
	DPI           float32
	Source        PageSource
	Result
}

// RecognizeDocument reads a document page by page: one result per page, in the order of config.Pages, while later pages are
// being rendered. Nothing is sent before the iteration starts; then the file goes in parts. The deadline of the whole is that
// of the context; without one it is ClientOptions.StreamTimeout. Nil for config means every field's default.
func (c *OcrClient) RecognizeDocument(ctx context.Context, source DocumentSource, config *DocumentConfig) DocumentPages {
	return func(yield func(DocumentPage, error) bool) {
		ctx, cancel := withDeadline(ctx, c.options.StreamTimeout)
		defer cancel()
		if err := c.readDocument(ctx, source, config, yield); err != nil && err != errLeft {
			yield(DocumentPage{}, err)
		}
	}
}

func (c *OcrClient) readDocument(
	ctx context.Context, source DocumentSource, config *DocumentConfig, yield func(DocumentPage, error) bool,
) error {
	file, err := source()
	if err != nil {
		return err
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.service.RecognizeDocument(ctx)
	if err != nil {
		cancel()
		return fromCall(err, nil)
	}
	sent := make(chan error, 1)
	go func() { sent <- sendDocument(stream, file, config) }()
	err = receivePages(stream, yield)
	cancel()
	// A file that could not be read to its end is a bad document to the server.
	if sourceErr := <-sent; sourceErr != nil && err != errLeft {
		return sourceErr
	}
	return err
}

func receivePages(stream glyphwirev1.OcrService_RecognizeDocumentClient, yield func(DocumentPage, error) bool) error {
	for {
		response, err := stream.Recv()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fromCall(err, stream.Trailer())
		case !yield(documentPage(response), nil):
			return errLeft
		}
	}
}

// sendDocument returns what goes wrong with the file; what goes wrong with the stream is told to its receiver.
func sendDocument(stream glyphwirev1.OcrService_RecognizeDocumentClient, file io.Reader, config *DocumentConfig) error {
	if config == nil {
		config = &DocumentConfig{}
	}
	err := stream.Send(&glyphwirev1.RecognizeDocumentRequest{
		Message: &glyphwirev1.RecognizeDocumentRequest_Config{Config: config},
	})
	var readErr error
	for err == nil && readErr == nil {
		chunk := make([]byte, chunkBytes)
		var size int
		size, readErr = io.ReadFull(file, chunk)
		if size > 0 {
			err = stream.Send(&glyphwirev1.RecognizeDocumentRequest{
				Message: &glyphwirev1.RecognizeDocumentRequest_Chunk{Chunk: chunk[:size]},
			})
		}
	}
	_ = stream.CloseSend() // its error is always nil
	if errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF) {
		return nil
	}
	return readErr
}

func documentPage(response *glyphwirev1.RecognizeDocumentResponse) DocumentPage {
	return DocumentPage{
		PageNumber:    int(response.GetPageNumber()),
		PageCount:     int(response.GetPageCount()),
		PagesDone:     int(response.GetPagesDone()),
		PagesSelected: int(response.GetPagesSelected()),
		DPI:           response.GetDpi(),
		Source:        response.GetSource(),
		Result:        resultOf(response),
	}
}
