package glyphwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

// A FrameSource returns the next frame of a stream, or io.EOF after the last one; any other error ends the stream after
// the results of the frames before it. It is called from one goroutine, as fast as the server takes frames and one frame
// ahead. It should return when its context ends, which happens when the stream does.
type FrameSource func(ctx context.Context) (Frame, error)

// Frames is a source of images at hand. Their positions are their frame ids.
func Frames(images ...ImageSource) FrameSource {
	position := 0
	return func(context.Context) (Frame, error) {
		if position == len(images) {
			return Frame{}, io.EOF
		}
		frame := Frame{Image: images[position], FrameID: uint64(position)}
		position++
		return frame, nil
	}
}

// FramesFrom is a source of the frames that come out of a channel until it is closed.
func FramesFrom(channel <-chan Frame) FrameSource {
	return func(ctx context.Context) (Frame, error) {
		select {
		case frame, more := <-channel:
			if !more {
				return Frame{}, io.EOF
			}
			return frame, nil
		case <-ctx.Done():
			return Frame{}, ctx.Err()
		}
	}
}

// FrameResults iterates over the results of a stream, once. From Go 1.23 on it can be ranged over:
//
//	for result, err := range client.Stream(ctx, source, nil) {
//
// The error is that of the stream as a whole: it comes last, with no result. Leaving the loop cancels the stream.
type FrameResults func(yield func(FrameResult, error) bool)

// Each calls handle with each result, and returns the error of the stream, or the first one of handle, which cancels the
// stream.
func (results FrameResults) Each(handle func(FrameResult) error) error {
	var failure error
	results(func(result FrameResult, err error) bool {
		if failure = err; err == nil {
			failure = handle(result)
		}
		return failure == nil
	})
	return failure
}

// Stream reads frames as they come: one result per frame, in their order, while later frames are being sent. Nothing is
// sent before the iteration starts.
//
// When the connection drops or the server stops, the stream is opened again and the frames without a result are sent
// again. It fails when that has brought nothing for ClientOptions.Timeout. The deadline of the whole is that of the
// context; without one it is ClientOptions.StreamTimeout.
func (c *OcrClient) Stream(ctx context.Context, source FrameSource, options *RecognizeOptions) FrameResults {
	return c.StreamWith(ctx, source, &StreamConfig{Options: options})
}

// StreamWith is Stream with a choice of which frames are read, of what becomes of unchanged ones, and of merging the
// readings of each line over frames. Merging starts anew when the stream is opened again.
func (c *OcrClient) StreamWith(ctx context.Context, source FrameSource, config *StreamConfig) FrameResults {
	return func(yield func(FrameResult, error) bool) {
		ctx, cancel := withDeadline(ctx, c.options.StreamTimeout)
		defer cancel()
		stream := &frameStream{service: c.service, config: config, frames: make(chan *glyphwirev1.Frame), yield: yield}
		go stream.read(ctx, source)
		err := stream.run(ctx, c.options)
		if err != nil && err != errLeft {
			yield(FrameResult{}, err)
		}
	}
}

// errLeft says that whoever iterates wants no more results.
var errLeft = errors.New("left")

// frameStream is one iteration over FrameResults, on as many connections as it takes.
type frameStream struct {
	service glyphwirev1.OcrServiceClient
	config  *StreamConfig
	yield   func(FrameResult, error) bool

	// frames come from the source. It is closed after the last one, when sourceErr has been written.
	frames    chan *glyphwirev1.Frame
	sourceErr error

	mutex sync.Mutex
	// unanswered frames, in their order. The server's flow control keeps them few.
	unanswered []*glyphwirev1.Frame
	// complete when every frame of the source is among the unanswered or has been answered.
	complete bool
}

// read passes the frames of the source on, until its end or that of the context.
func (s *frameStream) read(ctx context.Context, source FrameSource) {
	defer close(s.frames)
	for {
		message, err := nextFrame(ctx, source)
		if err == nil {
			select {
			case s.frames <- message:
				continue
			case <-ctx.Done():
			}
		}
		switch {
		case err == io.EOF:
		case ctx.Err() != nil:
			s.sourceErr = fromContext(ctx)
		default:
			s.sourceErr = err
		}
		return
	}
}

func nextFrame(ctx context.Context, source FrameSource) (*glyphwirev1.Frame, error) {
	frame, err := source(ctx)
	if err != nil {
		return nil, err
	}
	image, err := frame.Image.message()
	if err != nil {
		return nil, fmt.Errorf("frame %d: %w", frame.FrameID, err)
	}
	message := &glyphwirev1.Frame{FrameId: frame.FrameID, Image: image}
	if !frame.CaptureTime.IsZero() {
		message.CaptureTime = timestamppb.New(frame.CaptureTime)
	}
	return message, nil
}

// run makes attempts until all frames are answered. Those that bring nothing are repeated for options.Timeout.
func (s *frameStream) run(ctx context.Context, options ClientOptions) error {
	lastAlive, wait := time.Now(), initialBackoff
	for {
		started := time.Now()
		answered, err := s.attempt(ctx)
		if err == nil {
			return s.sourceErr
		}
		var failure *OcrError
		if !errors.As(err, &failure) || !serverGone(ctx, failure) {
			return err
		}
		if s.finished() {
			return s.sourceErr
		}
		if options.MaxAttempts == 1 {
			return err
		}
		// A stream that was open for long without frames was alive too.
		if now := time.Now(); answered > 0 || now.Sub(started) > maxBackoff {
			lastAlive, wait = now, initialBackoff
		}
		wait = longer(wait, failure.RetryAfter)
		if time.Since(lastAlive)+wait > options.Timeout {
			return err
		}
		if !sleep(ctx, wait) {
			return fromContext(ctx)
		}
		wait = shorter(backoffMultiplier*wait, maxBackoff)
	}
}

// serverGone tells that a server has stopped or cannot be reached. One that stops cancels calls that gRPC has not handed on
// to it.
func serverGone(ctx context.Context, failure *OcrError) bool {
	return failure.Code == codes.Unavailable || failure.Code == codes.Canceled && ctx.Err() == nil
}

// attempt opens one stream, sends the frames without an answer and all that follow, and yields the results.
func (s *frameStream) attempt(ctx context.Context) (answered int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.service.StreamRecognize(ctx)
	if err != nil {
		return 0, fromCall(err, nil)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s.send(ctx, stream)
	}()
	defer func() {
		cancel()
		<-sent
	}()
	for {
		response, err := stream.Recv()
		switch {
		case err == io.EOF && s.finished():
			return answered, nil
		case err == io.EOF:
			return answered, &OcrError{Code: codes.Internal, Message: "the server ended the stream before its frames did"}
		case err != nil:
			return answered, fromCall(err, stream.Trailer())
		case !s.answer(response.GetFrameId()):
			message := fmt.Sprintf("the server answered frame %d, which waits for no answer", response.GetFrameId())
			return answered, &OcrError{Code: codes.Internal, Message: message}
		}
		answered++
		if !s.yield(frameResult(response), nil) {
			return answered, errLeft
		}
	}
}

// send ends when the stream has failed, which its receiver is told, or when there is nothing more to send.
func (s *frameStream) send(ctx context.Context, stream glyphwirev1.OcrService_StreamRecognizeClient) {
	err := stream.Send(&glyphwirev1.StreamRecognizeRequest{
		Message: &glyphwirev1.StreamRecognizeRequest_Config{Config: s.config},
	})
	for _, frame := range s.waiting() {
		if err == nil {
			err = sendFrame(stream, frame)
		}
	}
	for err == nil {
		select {
		case frame, more := <-s.frames:
			s.note(frame, more)
			if !more {
				_ = stream.CloseSend() // its error is always nil
				return
			}
			err = sendFrame(stream, frame)
		case <-ctx.Done():
			return
		}
	}
}

func sendFrame(stream glyphwirev1.OcrService_StreamRecognizeClient, frame *glyphwirev1.Frame) error {
	return stream.Send(&glyphwirev1.StreamRecognizeRequest{
		Message: &glyphwirev1.StreamRecognizeRequest_Frame{Frame: frame},
	})
}

// note that a frame is about to be sent, or that there are no more.
func (s *frameStream) note(frame *glyphwirev1.Frame, more bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if more {
		s.unanswered = append(s.unanswered, frame)
	} else {
		s.complete = true
	}
}

// answer strikes a frame off; false when none of that id waits.
func (s *frameStream) answer(frameID uint64) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i, frame := range s.unanswered {
		if frame.GetFrameId() == frameID {
			s.unanswered = append(s.unanswered[:i], s.unanswered[i+1:]...)
			return true
		}
	}
	return false
}

func (s *frameStream) waiting() []*glyphwirev1.Frame {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]*glyphwirev1.Frame(nil), s.unanswered...)
}

func (s *frameStream) finished() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.complete && len(s.unanswered) == 0
}

func frameResult(response *glyphwirev1.StreamRecognizeResponse) FrameResult {
	result := FrameResult{
		FrameID:       response.GetFrameId(),
		UnchangedFrom: response.UnchangedFrom,
		StableLines:   response.GetStableLines(),
		Dropped:       response.GetDropped(),
	}
	if result.Dropped == nil {
		result.Result = resultOf(response)
	}
	if captured := response.GetCaptureTime(); captured != nil {
		result.CaptureTime = captured.AsTime()
	}
	return result
}

func fromContext(ctx context.Context) *OcrError {
	return fromCall(status.FromContextError(ctx.Err()).Err(), nil)
}

func shorter(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

func longer(a, b time.Duration) time.Duration {
	if a > b {
		return a
	}
	return b
}
