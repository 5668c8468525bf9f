package glyphwire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"glyphwire.dev/client/go/glyphwire"
	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

// Each frame has one result, in order, with its id and capture time; a bad frame has its error and the stream goes on.
func TestStream(t *testing.T) {
	captured := time.Date(2024, 11, 18, 14, 35, 7, 250_000_000, time.UTC)
	frames := make(chan glyphwire.Frame, 3)
	frames <- glyphwire.Frame{Image: bytesOf("a"), FrameID: 7}
	frames <- glyphwire.Frame{Image: bytesOf("!5"), FrameID: 3, CaptureTime: captured}
	frames <- glyphwire.Frame{Image: bytesOf("c"), FrameID: 9}
	close(frames)
	var config *glyphwirev1.StreamConfig
	client := connect(t, &fakeServer{stream: func(stream glyphwirev1.OcrService_StreamRecognizeServer) error {
		config = receiveConfig(stream)
		_, err := answerFrames(stream, -1)
		return err
	}}, glyphwire.ClientOptions{})
	results, err := collect(client.Stream(ctx, glyphwire.FramesFrom(frames), &glyphwire.RecognizeOptions{Model: "other"}))
	if err != nil || len(results) != 3 {
		t.Fatalf("%v, %v", results, err)
	}
	if ids := idsOf(results); !reflect.DeepEqual(ids, []uint64{7, 3, 9}) {
		t.Errorf("ids %v", ids)
	}
	if !results[1].CaptureTime.Equal(captured) || !results[0].CaptureTime.IsZero() {
		t.Errorf("capture times %v, %v", results[1].CaptureTime, results[0].CaptureTime)
	}
	if failure := ocrError(t, results[1].Err); failure.Code != codes.InvalidArgument {
		t.Errorf("%+v", failure)
	}
	if text := glyphwire.Text(results[2].Recognition); text != "c" || results[2].Err != nil {
		t.Errorf("%q, %v", text, results[2].Err)
	}
	if config.GetOptions().GetModel() != "other" {
		t.Errorf("the server got %v", config)
	}
}

// The configuration travels as it is; dropped and unchanged frames and stable lines come out.
func TestStreamWith(t *testing.T) {
	var got *glyphwirev1.StreamConfig
	from := uint64(4)
	client := connect(t, &fakeServer{stream: func(stream glyphwirev1.OcrService_StreamRecognizeServer) error {
		got = receiveConfig(stream)
		dropped := &glyphwirev1.StreamRecognizeResponse{FrameId: 0, Result: &glyphwirev1.StreamRecognizeResponse_Dropped{
			Dropped: &glyphwirev1.FrameDropped{ReplacedBy: 1},
		}}
		unchanged := &glyphwirev1.StreamRecognizeResponse{
			FrameId:       1,
			Result:        &glyphwirev1.StreamRecognizeResponse_Recognition{Recognition: &glyphwirev1.Recognition{}},
			UnchangedFrom: &from,
			StableLines:   []*glyphwirev1.StableLine{{TrackId: 7, Text: "merged"}},
		}
		for _, response := range []*glyphwirev1.StreamRecognizeResponse{dropped, unchanged} {
			if _, err := stream.Recv(); err != nil {
				return err
			}
			if err := stream.Send(response); err != nil {
				return err
			}
		}
		return nil
	}}, glyphwire.ClientOptions{})
	config := &glyphwire.StreamConfig{FramePolicy: glyphwire.FramePolicyLatest, Voting: &glyphwire.VotingOptions{}}
	results, err := collect(client.StreamWith(ctx, glyphwire.Frames(bytesOf("a"), bytesOf("b")), config))
	if err != nil || len(results) != 2 {
		t.Fatalf("%v, %v", results, err)
	}
	if got.GetFramePolicy() != glyphwire.FramePolicyLatest || got.Voting == nil || got.Unchanged != nil {
		t.Errorf("the server got %v", got)
	}
	first, second := results[0], results[1]
	if first.Dropped.GetReplacedBy() != 1 || first.Err != nil || first.Recognition != nil || first.UnchangedFrom != nil {
		t.Errorf("%+v", first)
	}
	if second.Dropped != nil || second.Recognition == nil || *second.UnchangedFrom != 4 {
		t.Errorf("%+v", second)
	}
	if len(second.StableLines) != 1 || second.StableLines[0].GetText() != "merged" {
		t.Errorf("%v", second.StableLines)
	}
}

// Far more frames than any window flow through in order.
func TestManyFrames(t *testing.T) {
	images := make([]glyphwire.ImageSource, 300)
	for i := range images {
		images[i] = bytesOf(strings.Repeat(fmt.Sprint(i%10), 10_000))
	}
	client := connect(t, &fakeServer{}, glyphwire.ClientOptions{})
	results, err := collect(client.Stream(ctx, glyphwire.Frames(images...), nil))
	if err != nil {
		t.Fatal(err)
	}
	if ids := idsOf(results); !reflect.DeepEqual(ids, upTo(300)) {
		t.Errorf("ids %v", ids)
	}
}

// After UNAVAILABLE a new stream gets the configuration, the frames without a result, and those that follow; every frame
// has one result.
func TestResumeAfterUnavailable(t *testing.T) {
	var streams [][]uint64
	client := connect(t, &fakeServer{stream: func(stream glyphwirev1.OcrService_StreamRecognizeServer) error {
		if receiveConfig(stream).GetOptions().GetModel() != "other" {
			return status.Error(codes.InvalidArgument, "no configuration")
		}
		if len(streams) == 2 {
			ids, err := answerFrames(stream, -1)
			streams = append(streams, ids)
			return err
		}
		ids, err := answerFrames(stream, 2)
		if err != nil {
			return err
		}
		for i := 0; i < 2; i++ { // received, never answered
			message, err := stream.Recv()
			if err != nil {
				return err
			}
			ids = append(ids, message.GetFrame().GetFrameId())
		}
		streams = append(streams, ids)
		return unavailable(time.Millisecond)
	}}, glyphwire.ClientOptions{})
	images := []glyphwire.ImageSource{
		bytesOf("a"), bytesOf("b"), bytesOf("c"), bytesOf("d"), bytesOf("e"), bytesOf("f"), bytesOf("g"),
	}
	results, err := collect(client.Stream(ctx, glyphwire.Frames(images...), &glyphwire.RecognizeOptions{Model: "other"}))
	if err != nil {
		t.Fatal(err)
	}
	if ids := idsOf(results); !reflect.DeepEqual(ids, upTo(7)) {
		t.Errorf("ids %v", ids)
	}
	if want := [][]uint64{{0, 1, 2, 3}, {2, 3, 4, 5}, {4, 5, 6}}; !reflect.DeepEqual(streams, want) {
		t.Errorf("streams %v", streams)
	}
}

// A server that stops cancels calls that gRPC has not handed on to it; what the caller cancels is over.
func TestResumeAfterTheServerHasCancelled(t *testing.T) {
	attempts := 0
	client := connect(t, &fakeServer{stream: func(stream glyphwirev1.OcrService_StreamRecognizeServer) error {
		attempts++
		receiveConfig(stream)
		if attempts == 1 {
			return status.Error(codes.Canceled, "")
		}
		_, err := answerFrames(stream, -1)
		return err
	}}, glyphwire.ClientOptions{})
	results, err := collect(client.Stream(ctx, glyphwire.Frames(bytesOf("a"), bytesOf("b")), nil))
	if ids := idsOf(results); err != nil || !reflect.DeepEqual(ids, upTo(2)) {
		t.Errorf("ids %v, %v", ids, err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err = collect(client.Stream(cancelled, glyphwire.Frames(bytesOf("a")), nil)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if attempts > 3 {
		t.Errorf("%d attempts", attempts)
	}
}

// A server that goes away for a while and loses the connection costs no frame.
func TestResumeAfterADroppedConnection(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	address := listener.Addr().String()
	first := serve(t, listener, &fakeServer{stream: func(stream glyphwirev1.OcrService_StreamRecognizeServer) error {
		receiveConfig(stream)
		if _, err := answerFrames(stream, 2); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	}})
	client := newClient(t, address, glyphwire.ClientOptions{})
	source := glyphwire.Frames(bytesOf("a"), bytesOf("b"), bytesOf("c"), bytesOf("d"))
	var results []glyphwire.FrameResult
	err := client.Stream(ctx, source, nil).Each(func(result glyphwire.FrameResult) error {
		if results = append(results, result); len(results) == 2 {
			first.Stop()
			serve(t, listen(t, "tcp", address), &fakeServer{})
		}
		return nil
	})
	if ids := idsOf(results); err != nil || !reflect.DeepEqual(ids, upTo(4)) {
		t.Errorf("ids %v, %v", ids, err)
	}
}

// A stream is not resumed for ever, nor when the client is to try once, nor after another status.
func TestStreamsThatAreNotResumed(t *testing.T) {
	for name, example := range map[string]struct {
		failure error
		options glyphwire.ClientOptions
		want    codes.Code
		single  bool
	}{
		"patience ends": {unavailable(0), glyphwire.ClientOptions{Timeout: 150 * time.Millisecond}, codes.Unavailable, false},
		"long delay":    {unavailable(time.Hour), glyphwire.ClientOptions{}, codes.Unavailable, true},
		"one attempt":   {unavailable(0), glyphwire.ClientOptions{MaxAttempts: 1}, codes.Unavailable, true},
		"other status":  {status.Error(codes.NotFound, "no such model"), glyphwire.ClientOptions{}, codes.NotFound, true},
	} {
		var mutex sync.Mutex
		attempts := 0
		client := connect(t, &fakeServer{stream: func(glyphwirev1.OcrService_StreamRecognizeServer) error {
			mutex.Lock()
			defer mutex.Unlock()
			attempts++
			return example.failure
		}}, example.options)
		results, err := collect(client.Stream(ctx, glyphwire.Frames(bytesOf("a")), nil))
		if failure := ocrError(t, err); failure.Code != example.want || len(results) != 0 {
			t.Errorf("%s: %v, %v", name, results, err)
		}
		if (attempts == 1) != example.single {
			t.Errorf("%s: %d attempts", name, attempts)
		}
	}
}

// A server that ends the stream early, or answers what nobody asked, is at fault; frames are not lost silently.
func TestServersThatBreakTheContract(t *testing.T) {
	for name, stream := range map[string]func(glyphwirev1.OcrService_StreamRecognizeServer) error{
		"ends early": func(glyphwirev1.OcrService_StreamRecognizeServer) error { return nil },
		"answers unknown frame": func(stream glyphwirev1.OcrService_StreamRecognizeServer) error {
			return stream.Send(&glyphwirev1.StreamRecognizeResponse{FrameId: 99})
		},
	} {
		client := connect(t, &fakeServer{stream: stream}, glyphwire.ClientOptions{})
		_, err := collect(client.Stream(ctx, glyphwire.Frames(bytesOf("a")), nil))
		if failure := ocrError(t, err); failure.Code != codes.Internal {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

// What the source fails with comes after the results of the frames before it.
func TestSourcesThatFail(t *testing.T) {
	gone := errors.New("the camera is gone")
	for name, last := range map[string]func() (glyphwire.Frame, error){
		"source": func() (glyphwire.Frame, error) { return glyphwire.Frame{}, gone },
		"image": func() (glyphwire.Frame, error) {
			return glyphwire.Frame{Image: func() (*glyphwire.Image, error) { return nil, gone }}, nil
		},
	} {
		sent := 0
		source := func(context.Context) (glyphwire.Frame, error) {
			if sent++; sent > 2 {
				return last()
			}
			return glyphwire.Frame{Image: bytesOf("a"), FrameID: uint64(sent)}, nil
		}
		client := connect(t, &fakeServer{}, glyphwire.ClientOptions{})
		results, err := collect(client.Stream(ctx, source, nil))
		if !errors.Is(err, gone) || len(results) != 2 {
			t.Errorf("%s: %v, %v", name, results, err)
		}
	}
}

// An image that is cut short does not look like the end of the frames.
func TestImagesThatEndEarly(t *testing.T) {
	cut := glyphwire.ImageSource(func() (*glyphwire.Image, error) { return nil, io.EOF })
	client := connect(t, &fakeServer{}, glyphwire.ClientOptions{})
	if _, err := collect(client.Stream(ctx, glyphwire.Frames(bytesOf("a"), cut), nil)); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

// Leaving the iteration ends the stream at the server and the context of the source.
func TestLeaving(t *testing.T) {
	serverEnded, sourceEnded := make(chan struct{}), make(chan struct{})
	client := connect(t, &fakeServer{stream: func(stream glyphwirev1.OcrService_StreamRecognizeServer) error {
		defer close(serverEnded)
		receiveConfig(stream)
		if _, err := answerFrames(stream, 1); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	}}, glyphwire.ClientOptions{})
	sent := 0
	source := func(ctx context.Context) (glyphwire.Frame, error) {
		if sent++; sent == 1 {
			return glyphwire.Frame{Image: bytesOf("a")}, nil
		}
		defer close(sourceEnded)
		<-ctx.Done()
		return glyphwire.Frame{}, ctx.Err()
	}
	enough := errors.New("enough")
	err := client.Stream(ctx, source, nil).Each(func(glyphwire.FrameResult) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	<-serverEnded
	<-sourceEnded
}

func collect(stream glyphwire.FrameResults) (results []glyphwire.FrameResult, err error) {
	err = stream.Each(func(result glyphwire.FrameResult) error {
		results = append(results, result)
		return nil
	})
	return results, err
}

func idsOf(results []glyphwire.FrameResult) []uint64 {
	ids := make([]uint64, len(results))
	for i, result := range results {
		ids[i] = result.FrameID
	}
	return ids
}

func upTo(count int) []uint64 {
	ids := make([]uint64, count)
	for i := range ids {
		ids[i] = uint64(i)
	}
	return ids
}

func receiveConfig(stream glyphwirev1.OcrService_StreamRecognizeServer) *glyphwirev1.StreamConfig {
	message, err := stream.Recv()
	if err != nil {
		return nil
	}
	return message.GetConfig()
}
