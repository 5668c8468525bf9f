package glyphwire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"glyphwire.dev/client/go/glyphwire"
	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

// echoDocument answers as many pages as the document has bytes up to a hundred, each with the size and the pages asked for;
// an empty document fails, and page 2 of every document does.
func echoDocument(stream glyphwirev1.OcrService_RecognizeDocumentServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	size, chunks := 0, 0
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		size += len(message.GetChunk())
		chunks++
	}
	if size == 0 {
		return unavailable(0)
	}
	text := fmt.Sprintf("%d bytes in %d, pages %s", size, chunks, first.GetConfig().GetPages())
	for page := int32(1); page <= 3; page++ {
		response := &glyphwirev1.RecognizeDocumentResponse{
			PageNumber: page, PageCount: 3, PagesDone: page, PagesSelected: 3, Dpi: 200, Source: glyphwire.PageSourceOCR,
			Result: &glyphwirev1.RecognizeDocumentResponse_Recognition{
				Recognition: &glyphwirev1.Recognition{Lines: []*glyphwirev1.Line{{Text: text}}},
			},
		}
		if page == 2 {
			response.Result = &glyphwirev1.RecognizeDocumentResponse_Error{
				Error: &glyphwirev1.Error{Reason: glyphwirev1.ErrorReason_ERROR_REASON_PAGE_UNREADABLE},
			}
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
	return nil
}

// A document goes in parts, from wherever it comes, and each page is a result; a bad page spoils no other.
func TestDocument(t *testing.T) {
	client := connect(t, &fakeServer{document: echoDocument}, glyphwire.ClientOptions{})
	content := bytes.Repeat([]byte("x"), 5<<19)
	path := filepath.Join(t.TempDir(), "scan.pdf")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, source := range []glyphwire.DocumentSource{
		glyphwire.DocumentFile(path), glyphwire.DocumentBytes(content), glyphwire.DocumentReader(bytes.NewReader(content)),
	} {
		var pages []glyphwire.DocumentPage
		err := client.RecognizeDocument(ctx, source, &glyphwire.DocumentConfig{Pages: "1-", Dpi: proto.Int32(300)}).Each(
			func(page glyphwire.DocumentPage) error {
				pages = append(pages, page)
				return nil
			})
		if err != nil || len(pages) != 3 {
			t.Fatalf("%v, %v", pages, err)
		}
		if text := glyphwire.Text(pages[0].Recognition); text != "2621440 bytes in 3, pages 1-" {
			t.Error(text)
		}
		if failure := ocrError(t, pages[1].Err); failure.Code != codes.InvalidArgument {
			t.Error(failure)
		}
		last := pages[2]
		if last.PageNumber != 3 || last.PageCount != 3 || last.PagesDone != 3 || last.PagesSelected != 3 ||
			last.DPI != 200 || last.Source != glyphwire.PageSourceOCR {
			t.Errorf("%+v", last)
		}
	}
}

// What is wrong with the document as a whole comes last.
func TestDocumentErrors(t *testing.T) {
	client := connect(t, &fakeServer{document: echoDocument}, glyphwire.ClientOptions{})
	ignore := func(glyphwire.DocumentPage) error { return nil }
	err := client.RecognizeDocument(ctx, glyphwire.DocumentBytes(nil), nil).Each(ignore)
	if failure := ocrError(t, err); failure.Code != codes.Unavailable {
		t.Error(failure)
	}
	err = client.RecognizeDocument(ctx, glyphwire.DocumentFile("nothing.pdf"), nil).Each(ignore)
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	broken := errors.New("broken")
	err = client.RecognizeDocument(ctx, glyphwire.DocumentReader(iotest.ErrReader(broken)), nil).Each(ignore)
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}

// Leaving the iteration cancels the call, and its error is that of whoever has left.
func TestLeavingADocument(t *testing.T) {
	cancelled := make(chan struct{})
	client := connect(t, &fakeServer{document: func(stream glyphwirev1.OcrService_RecognizeDocumentServer) error {
		if err := stream.Send(&glyphwirev1.RecognizeDocumentResponse{}); err != nil {
			return err
		}
		<-stream.Context().Done()
		close(cancelled)
		return stream.Context().Err()
	}}, glyphwire.ClientOptions{})
	enough := errors.New("enough")
	err := client.RecognizeDocument(context.Background(), glyphwire.DocumentBytes([]byte("x")), nil).Each(
		func(glyphwire.DocumentPage) error { return enough })
	if !errors.Is(err, enough) {
		t.Error(err)
	}
	<-cancelled
}
