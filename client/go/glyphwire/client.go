// Package glyphwire is the client of the Glyphwire OCR server: images in, lines of text with confidences and positions
// out.
//
//	client, err := glyphwire.NewOcrClient("127.0.0.1:50051", glyphwire.ClientOptions{})
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	page, err := client.Recognize(ctx, glyphwire.File("page.jpg"), nil)
//	if err != nil {
//		return err
//	}
//	fmt.Println(glyphwire.Text(page))
//
// Images come from files, bytes or pixels: File, Bytes, Raw, Pixels. Options and answers are the contract's own
// messages, so the generated package glyphwire/v1 is needed for rare things only. Every call that fails returns an
// *OcrError.
package glyphwire

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

const (
	serviceName = "glyphwire.v1.OcrService"
	healthPoll  = 100 * time.Millisecond
)

// OcrClient reads text through a Glyphwire server. It may be shared by goroutines; close it when it is no longer needed.
//
// The deadline of a call is that of its context; without one it is ClientOptions.Timeout.
type OcrClient struct {
	connection *grpc.ClientConn
	service    glyphwirev1.OcrServiceClient
	options    ClientOptions
}

// NewOcrClient returns a client of the server at target, "host:port" or "unix:path". The connection is made when the
// first call needs it; an error here is one of the arguments.
func NewOcrClient(target string, options ClientOptions) (*OcrClient, error) {
	options = options.withDefaults()
	connection, err := dial(target, options)
	if err != nil {
		return nil, err
	}
	return &OcrClient{connection, glyphwirev1.NewOcrServiceClient(connection), options}, nil
}

// Close closes the connection; running calls are cancelled.
func (c *OcrClient) Close() error {
	return c.connection.Close()
}

// Recognize reads one image.
func (c *OcrClient) Recognize(ctx context.Context, image ImageSource, options *RecognizeOptions) (*Recognition, error) {
	request, err := recognizeRequest(image, options)
	if err != nil {
		return nil, err
	}
	var response *glyphwirev1.RecognizeResponse
	err = c.call(ctx, func(ctx context.Context, trailer grpc.CallOption) (err error) {
		response, err = c.service.Recognize(ctx, request, trailer)
		return err
	})
	return response.GetRecognition(), err
}

// RecognizeBatch reads several images in one call. It returns one result per image, in their order; an image that cannot
// be read has its error there and spoils no other.
func (c *OcrClient) RecognizeBatch(
	ctx context.Context, images []ImageSource, options *RecognizeOptions,
) ([]Result, error) {
	request := &glyphwirev1.BatchRecognizeRequest{}
	for _, image := range images {
		item, err := recognizeRequest(image, options)
		if err != nil {
			return nil, err
		}
		request.Requests = append(request.Requests, item)
	}
	var response *glyphwirev1.BatchRecognizeResponse
	err := c.call(ctx, func(ctx context.Context, trailer grpc.CallOption) (err error) {
		response, err = c.service.BatchRecognize(ctx, request, trailer)
		return err
	})
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(response.GetResults()))
	for i, result := range response.GetResults() {
		results[i] = resultOf(result)
	}
	return results, nil
}

// ListModels returns the models that RecognizeOptions.Model can name, sorted by name.
func (c *OcrClient) ListModels(ctx context.Context) ([]*Model, error) {
	var response *glyphwirev1.ListModelsResponse
	err := c.call(ctx, func(ctx context.Context, trailer grpc.CallOption) (err error) {
		response, err = c.service.ListModels(ctx, &glyphwirev1.ListModelsRequest{}, trailer)
		return err
	})
	return response.GetModels(), err
}

// WaitReady waits until the server says that it serves, or the deadline passes.
func (c *OcrClient) WaitReady(ctx context.Context) error {
	ctx, cancel := withDeadline(ctx, c.options.Timeout)
	defer cancel()
	health := grpc_health_v1.NewHealthClient(c.connection)
	request := &grpc_health_v1.HealthCheckRequest{Service: serviceName}
	for {
		response, err := health.Check(ctx, request, grpc.WaitForReady(true))
		if response.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			return nil
		}
		if err != nil && status.Code(err) != codes.Unavailable {
			return fromCall(err, nil)
		}
		if !sleep(ctx, healthPoll) {
			return fromContext(ctx)
		}
	}
}

// call makes a unary call with a deadline; a failure comes back as an OcrError.
func (c *OcrClient) call(ctx context.Context, method func(context.Context, grpc.CallOption) error) error {
	ctx, cancel := withDeadline(ctx, c.options.Timeout)
	defer cancel()
	var trailer metadata.MD
	if err := method(ctx, grpc.Trailer(&trailer)); err != nil {
		return fromCall(err, trailer)
	}
	return nil
}

func recognizeRequest(image ImageSource, options *RecognizeOptions) (*glyphwirev1.RecognizeRequest, error) {
	message, err := image.message()
	if err != nil {
		return nil, err
	}
	return &glyphwirev1.RecognizeRequest{Image: message, Options: options}, nil
}

// resultOf unwraps the outcome of one image or frame.
func resultOf(outcome interface {
	GetRecognition() *glyphwirev1.Recognition
	GetError() *glyphwirev1.Error
}) Result {
	if recognition := outcome.GetRecognition(); recognition != nil {
		return Result{Recognition: recognition}
	}
	return Result{Err: fromMessage(outcome.GetError())}
}

func withDeadline(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// sleep returns false when the context ends first.
func sleep(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
