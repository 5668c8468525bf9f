package glyphwire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"glyphwire.dev/client/go/glyphwire"
	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

var ctx = context.Background()

// Options travel as they are, all of them, and what was read comes back.
func TestRecognize(t *testing.T) {
	options := &glyphwire.RecognizeOptions{
		Mode:     glyphwire.ModeLine,
		Decode:   &glyphwire.DecodeOptions{Decoder: glyphwire.DecoderPrefixBeam, BeamWidth: proto.Int32(5)},
		Priority: glyphwire.PriorityBulk,
	}
	var got *glyphwirev1.RecognizeRequest
	client := connect(t, &fakeServer{
		recognize: func(_ context.Context, request *glyphwirev1.RecognizeRequest) (*glyphwirev1.RecognizeResponse, error) {
			got = request
			return &glyphwirev1.RecognizeResponse{Recognition: &glyphwirev1.Recognition{
				Lines: []*glyphwire.Line{{Text: "one"}, {Text: "two", Confidence: 0.5}},
			}}, nil
		},
	}, glyphwire.ClientOptions{})
	recognition, err := client.Recognize(ctx, glyphwire.Bytes([]byte("file")), options)
	if err != nil {
		t.Fatal(err)
	}
	if text := glyphwire.Text(recognition); text != "one\ntwo" || recognition.Lines[1].Confidence != 0.5 {
		t.Errorf("read %v", recognition)
	}
	if !proto.Equal(got.Options, options) || string(got.Image.GetEncoded()) != "file" {
		t.Errorf("the server got %v", got)
	}
}

// A file, bytes, raw pixels and decoded images all become the message that the contract has for them.
func TestImageSources(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.png")
	if err := os.WriteFile(path, []byte("file"), 0o600); err != nil {
		t.Fatal(err)
	}
	gray := image.NewGray(image.Rect(0, 0, 4, 3))
	copy(gray.Pix, "abcdefghijkl")
	half := color.NRGBA{R: 200, G: 100, B: 50, A: 128}
	translucent := image.NewRGBA(image.Rect(5, 5, 6, 6))
	translucent.Set(5, 5, half)
	raw := &glyphwire.RawImage{Pixels: []byte("bgr"), Width: 1, Height: 1, PixelFormat: glyphwire.PixelFormatBGR24}
	encoded := &glyphwirev1.Image{Source: &glyphwirev1.Image_Encoded{Encoded: []byte("file")}}
	rawImage := func(raw *glyphwire.RawImage) *glyphwirev1.Image {
		return &glyphwirev1.Image{Source: &glyphwirev1.Image_Raw{Raw: raw}}
	}
	for name, example := range map[string]struct {
		source glyphwire.ImageSource
		want   *glyphwirev1.Image
	}{
		"file":  {glyphwire.File(path), encoded},
		"bytes": {glyphwire.Bytes([]byte("file")), encoded},
		"raw":   {glyphwire.Raw(raw), rawImage(raw)},
		"part of an image": {
			glyphwire.Pixels(gray.SubImage(image.Rect(1, 0, 3, 2))),
			rawImage(&glyphwire.RawImage{
				Pixels: []byte("bcdefghi"), Width: 2, Height: 2, Stride: 4, PixelFormat: glyphwire.PixelFormatGray8,
			}),
		},
		"premultiplied": {
			glyphwire.Pixels(translucent),
			rawImage(&glyphwire.RawImage{
				Pixels: []byte{199, 99, 49, 128}, Width: 1, Height: 1, Stride: 4, PixelFormat: glyphwire.PixelFormatRGBA32,
			}),
		},
	} {
		got, err := example.source()
		if err != nil || !proto.Equal(got, example.want) {
			t.Errorf("%s: %v, %v, not %v", name, got, err, example.want)
		}
	}
}

// A file that cannot be read is the usual error, and nothing is sent.
func TestMissingFile(t *testing.T) {
	client := connect(t, &fakeServer{}, glyphwire.ClientOptions{})
	missing := glyphwire.File(filepath.Join(t.TempDir(), "nothing.png"))
	_, err := client.Recognize(ctx, missing, nil)
	_, batchErr := client.RecognizeBatch(ctx, []glyphwire.ImageSource{missing}, nil)
	streamErr := client.Stream(ctx, glyphwire.Frames(missing), nil).Each(ignore)
	for _, err := range []error{err, batchErr, streamErr} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	}
}

// A failed call is an OcrError with all that the server said.
func TestErrors(t *testing.T) {
	client := connect(t, &fakeServer{
		recognize: func(ctx context.Context, _ *glyphwirev1.RecognizeRequest) (*glyphwirev1.RecognizeResponse, error) {
			failure, err := status.New(codes.InvalidArgument, "no image").WithDetails(&errdetails.ErrorInfo{
				Domain:   "glyphwire.v1",
				Reason:   "ERROR_REASON_IMAGE_UNDECODABLE",
				Metadata: map[string]string{"field": "image.encoded"},
			})
			if err != nil {
				return nil, err
			}
			setRequestID(ctx, "abc")
			return nil, failure.Err()
		},
	}, glyphwire.ClientOptions{})
	_, err := client.Recognize(ctx, glyphwire.Bytes(nil), nil)
	want := glyphwire.OcrError{
		Code:      codes.InvalidArgument,
		Reason:    glyphwirev1.ErrorReason_ERROR_REASON_IMAGE_UNDECODABLE,
		Message:   "no image",
		Field:     "image.encoded",
		RequestID: "abc",
	}
	if failure := ocrError(t, err); *failure != want {
		t.Errorf("%+v", failure)
	}
	if text := err.Error(); text != "InvalidArgument, IMAGE_UNDECODABLE: no image (image.encoded)" {
		t.Error(text)
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Error("gRPC does not see the code")
	}
}

// Each reason of an image in a batch comes with the status that the contract gives it.
func TestCodesOfReasons(t *testing.T) {
	reasons := codesOfTheContract(t)
	reasons[9999] = "UNKNOWN" // of the future
	client := connect(t, &fakeServer{}, glyphwire.ClientOptions{})
	for number, name := range reasons {
		var want codes.Code
		if err := want.UnmarshalJSON([]byte(`"` + name + `"`)); err != nil {
			t.Fatal(err)
		}
		results, err := client.RecognizeBatch(ctx, []glyphwire.ImageSource{bytesOf(fmt.Sprint("!", number))}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if failure := ocrError(t, results[0].Err); failure.Code != want || failure.Reason != glyphwire.ErrorReason(number) {
			t.Errorf("%+v, not %v", failure, want)
		}
	}
}

// codesOfTheContract are the names of the codes that the comments on the reasons have in parentheses.
func codesOfTheContract(t *testing.T) map[int32]string {
	t.Helper()
	contract, err := os.ReadFile("../../../protos/glyphwire/v1/ocr.proto")
	if err != nil {
		t.Skip(err) // the module by itself
	}
	named := regexp.MustCompile(`\(([A-Z_]+)[^()]*\)\.\n  (ERROR_REASON_[A-Z_]+) = (\d+);`)
	found := map[int32]string{glyphwirev1.ErrorReason_value["ERROR_REASON_UNSPECIFIED"]: "UNKNOWN"}
	for _, match := range named.FindAllStringSubmatch(string(contract), -1) {
		found[glyphwirev1.ErrorReason_value[match[2]]] = match[1]
	}
	if len(found) != len(glyphwirev1.ErrorReason_value) {
		t.Fatalf("only %v", found)
	}
	return found
}

// A batch has one result per image, in order; a bad image has its error there.
func TestBatch(t *testing.T) {
	client := connect(t, &fakeServer{}, glyphwire.ClientOptions{})
	images := []glyphwire.ImageSource{bytesOf("a"), bytesOf("!5"), bytesOf("c")}
	results, err := client.RecognizeBatch(ctx, images, nil)
	if err != nil || len(results) != 3 {
		t.Fatalf("%v, %v", results, err)
	}
	if glyphwire.Text(results[0].Recognition) != "a" || glyphwire.Text(results[2].Recognition) != "c" {
		t.Errorf("%v", results)
	}
	failure := ocrError(t, results[1].Err)
	if failure.Code != codes.InvalidArgument || failure.Field != "image" || results[1].Recognition != nil {
		t.Errorf("%+v", failure)
	}
}

// The models are what the server lists.
func TestListModels(t *testing.T) {
	client := connect(t, &fakeServer{}, glyphwire.ClientOptions{})
	models, err := client.ListModels(ctx)
	if err != nil || len(models) != 1 || models[0].Name != "fake" || !models[0].IsDefault {
		t.Errorf("%v, %v", models, err)
	}
}

// A call ends at the deadline of its context, or at that of the client when the context has none.
func TestDeadlines(t *testing.T) {
	late := func(ctx context.Context, _ *glyphwirev1.RecognizeRequest) (*glyphwirev1.RecognizeResponse, error) {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	lateStream := func(stream glyphwirev1.OcrService_StreamRecognizeServer) error {
		<-stream.Context().Done()
		return status.FromContextError(stream.Context().Err()).Err()
	}
	client := connect(t, &fakeServer{recognize: late, stream: lateStream}, glyphwire.ClientOptions{
		Timeout: 20 * time.Millisecond, StreamTimeout: 20 * time.Millisecond,
	})
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	cancelled, cancelNow := context.WithCancel(ctx)
	cancelNow()
	for _, example := range []struct {
		ctx  context.Context
		want error
	}{{ctx, context.DeadlineExceeded}, {short, context.DeadlineExceeded}, {cancelled, context.Canceled}} {
		_, err := client.Recognize(example.ctx, bytesOf("a"), nil)
		streamErr := client.Stream(example.ctx, glyphwire.Frames(bytesOf("a")), nil).Each(ignore)
		for _, err := range []error{err, streamErr} {
			ocrError(t, err)
			if !errors.Is(err, example.want) {
				t.Errorf("%v, not %v", err, example.want)
			}
		}
	}
}

// A unary call is tried again while the server is unavailable, with images of any size, and for no other reason.
func TestRetries(t *testing.T) {
	for name, example := range map[string]struct {
		failure  error
		options  glyphwire.ClientOptions
		attempts int32
		code     codes.Code
	}{
		"comes back":   {unavailable(time.Second), glyphwire.ClientOptions{}, 2, codes.OK},
		"one attempt":  {unavailable(time.Second), glyphwire.ClientOptions{MaxAttempts: 1}, 1, codes.Unavailable},
		"other reason": {status.Error(codes.Internal, "our fault"), glyphwire.ClientOptions{}, 1, codes.Internal},
	} {
		var attempts int32
		client := connect(t, &fakeServer{
			recognize: func(_ context.Context, request *glyphwirev1.RecognizeRequest) (*glyphwirev1.RecognizeResponse, error) {
				if atomic.AddInt32(&attempts, 1) == 1 {
					return nil, example.failure
				}
				return &glyphwirev1.RecognizeResponse{Recognition: echo(request.Image)}, nil
			},
		}, example.options)
		recognition, err := client.Recognize(ctx, glyphwire.Bytes(bytes.Repeat([]byte("x"), 1<<20)), nil)
		if status.Code(err) != example.code || attempts != example.attempts {
			t.Errorf("%s: %v after %d attempts", name, err, attempts)
		}
		if err == nil && len(glyphwire.Text(recognition)) != 1<<20 {
			t.Errorf("%s: the second attempt lost bytes", name)
		}
	}
}

// What the server says of its queue arrives with the time to wait.
func TestRetryAfter(t *testing.T) {
	client := connect(t, &fakeServer{
		recognize: func(context.Context, *glyphwirev1.RecognizeRequest) (*glyphwirev1.RecognizeResponse, error) {
			return nil, unavailable(1500 * time.Millisecond)
		},
	}, glyphwire.ClientOptions{MaxAttempts: 1})
	_, err := client.Recognize(ctx, bytesOf("a"), nil)
	failure := ocrError(t, err)
	if failure.RetryAfter != 1500*time.Millisecond || failure.Reason != glyphwirev1.ErrorReason_ERROR_REASON_QUEUE_FULL {
		t.Errorf("%+v", failure)
	}
}

// A server that is not there is unavailable, for no reason of the server's.
func TestNoServer(t *testing.T) {
	client := newClient(t, "127.0.0.1:1", glyphwire.ClientOptions{MaxAttempts: 1})
	_, err := client.Recognize(ctx, bytesOf("a"), nil)
	failure := ocrError(t, err)
	if failure.Code != codes.Unavailable || failure.Reason != glyphwirev1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		t.Errorf("%+v", failure)
	}
}

// WaitReady returns when the server says that it serves, and fails when it does not in time.
func TestWaitReady(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	server, states := grpc.NewServer(), health.NewServer()
	states.SetServingStatus("glyphwire.v1.OcrService", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(server, states)
	go server.Serve(listener)
	defer server.Stop()
	client := newClient(t, listener.Addr().String(), glyphwire.ClientOptions{})
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := client.WaitReady(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ready := make(chan error)
	go func() { ready <- client.WaitReady(ctx) }()
	states.SetServingStatus("glyphwire.v1.OcrService", grpc_health_v1.HealthCheckResponse_SERVING)
	if err := <-ready; err != nil {
		t.Error(err)
	}
}

func bytesOf(text string) glyphwire.ImageSource { return glyphwire.Bytes([]byte(text)) }

func ignore(glyphwire.FrameResult) error { return nil }
