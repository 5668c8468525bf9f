package glyphwire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"glyphwire.dev/client/go/glyphwire"
	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

// fakeServer answers as its functions say. Without one it echoes: the text of an image is its bytes, and one that is "!8"
// fails for the reason of that number.
type fakeServer struct {
	glyphwirev1.UnimplementedOcrServiceServer
	recognize func(context.Context, *glyphwirev1.RecognizeRequest) (*glyphwirev1.RecognizeResponse, error)
	stream    func(glyphwirev1.OcrService_StreamRecognizeServer) error
	document  func(glyphwirev1.OcrService_RecognizeDocumentServer) error
}

func (f *fakeServer) Recognize(
	ctx context.Context, request *glyphwirev1.RecognizeRequest,
) (*glyphwirev1.RecognizeResponse, error) {
	if f.recognize != nil {
		return f.recognize(ctx, request)
	}
	return &glyphwirev1.RecognizeResponse{Recognition: echo(request.Image)}, nil
}

func (f *fakeServer) BatchRecognize(
	_ context.Context, request *glyphwirev1.BatchRecognizeRequest,
) (*glyphwirev1.BatchRecognizeResponse, error) {
	response := &glyphwirev1.BatchRecognizeResponse{}
	for _, item := range request.Requests {
		result := &glyphwirev1.BatchRecognizeResult{}
		if fault := faultOf(item.Image); fault != nil {
			result.Result = &glyphwirev1.BatchRecognizeResult_Error{Error: fault}
		} else {
			result.Result = &glyphwirev1.BatchRecognizeResult_Recognition{Recognition: echo(item.Image)}
		}
		response.Results = append(response.Results, result)
	}
	return response, nil
}

func (f *fakeServer) StreamRecognize(stream glyphwirev1.OcrService_StreamRecognizeServer) error {
	if f.stream != nil {
		return f.stream(stream)
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	_, err := answerFrames(stream, -1)
	return err
}

func (f *fakeServer) RecognizeDocument(stream glyphwirev1.OcrService_RecognizeDocumentServer) error {
	return f.document(stream)
}

func (f *fakeServer) ListModels(
	context.Context, *glyphwirev1.ListModelsRequest,
) (*glyphwirev1.ListModelsResponse, error) {
	return &glyphwirev1.ListModelsResponse{Models: []*glyphwirev1.Model{{Name: "fake", Version: "1", IsDefault: true}}}, nil
}

// answerFrames answers that many frames, or all of them, and returns their ids.
func answerFrames(stream glyphwirev1.OcrService_StreamRecognizeServer, count int) (ids []uint64, err error) {
	for len(ids) != count {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return ids, nil
		}
		if err != nil {
			return ids, err
		}
		frame := message.GetFrame()
		ids = append(ids, frame.FrameId)
		response := &glyphwirev1.StreamRecognizeResponse{FrameId: frame.FrameId, CaptureTime: frame.CaptureTime}
		if fault := faultOf(frame.Image); fault != nil {
			response.Result = &glyphwirev1.StreamRecognizeResponse_Error{Error: fault}
		} else {
			response.Result = &glyphwirev1.StreamRecognizeResponse_Recognition{Recognition: echo(frame.Image)}
		}
		if err := stream.Send(response); err != nil {
			return ids, err
		}
	}
	return ids, nil
}

func faultOf(image *glyphwirev1.Image) *glyphwirev1.Error {
	text := string(image.GetEncoded())
	if !strings.HasPrefix(text, "!") {
		return nil
	}
	reason, err := strconv.Atoi(text[1:])
	if err != nil {
		panic(err)
	}
	return &glyphwirev1.Error{Reason: glyphwire.ErrorReason(reason), Message: "bad", Field: "image"}
}

func echo(image *glyphwirev1.Image) *glyphwirev1.Recognition {
	text := string(image.GetEncoded()) + string(image.GetRaw().GetPixels())
	return &glyphwirev1.Recognition{Lines: []*glyphwirev1.Line{{Text: text, Confidence: 0.75}}, ModelName: "fake"}
}

// unavailable is what a server with a full queue answers.
func unavailable(delay time.Duration) error {
	failure, err := status.New(codes.Unavailable, "the queue is full").WithDetails(
		&errdetails.ErrorInfo{Domain: "glyphwire.v1", Reason: "ERROR_REASON_QUEUE_FULL"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)},
	)
	if err != nil {
		return err
	}
	return failure.Err()
}

// serve starts a server on the listener, and stops it when the test ends.
func serve(t *testing.T, listener net.Listener, fake *fakeServer, options ...grpc.ServerOption) *grpc.Server {
	t.Helper()
	server := grpc.NewServer(options...)
	glyphwirev1.RegisterOcrServiceServer(server, fake)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return server
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// connect makes a client of the fake server.
func connect(t *testing.T, fake *fakeServer, options glyphwire.ClientOptions) *glyphwire.OcrClient {
	t.Helper()
	listener := listen(t, "tcp", "127.0.0.1:0")
	serve(t, listener, fake)
	return newClient(t, listener.Addr().String(), options)
}

func newClient(t *testing.T, target string, options glyphwire.ClientOptions) *glyphwire.OcrClient {
	t.Helper()
	client, err := glyphwire.NewOcrClient(target, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// ocrError is the error as what it must be.
func ocrError(t *testing.T, err error) *glyphwire.OcrError {
	t.Helper()
	var failure *glyphwire.OcrError
	if !errors.As(err, &failure) {
		t.Fatalf("not an OcrError: %v", err)
	}
	return failure
}

// setRequestID names the call as the server does, after its end.
func setRequestID(ctx context.Context, id string) {
	if err := grpc.SetTrailer(ctx, metadata.Pairs("x-request-id", id)); err != nil {
		panic(err)
	}
}
