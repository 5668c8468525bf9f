package glyphwire

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

const (
	domain       = "glyphwire.v1"
	requestIDKey = "x-request-id"
	reasonPrefix = "ERROR_REASON_"
)

// ErrorReason says what went wrong, for programs. Its values are those of the contract, where each is explained.
type ErrorReason = glyphwirev1.ErrorReason

// OcrError says why a call, an image of a batch or a frame of a stream failed. Every error of this package is one, but
// for those of the caller's own making: a file that cannot be read, a FrameSource that fails.
//
// errors.Is finds context.DeadlineExceeded and context.Canceled in it.
type OcrError struct {
	// Code is the gRPC status; of an image or a frame, the status that a call of its own would have got.
	Code codes.Code
	// Reason is ERROR_REASON_UNSPECIFIED when the failure is not the server's answer, for example when it cannot be
	// reached.
	Reason ErrorReason
	// Message says what went wrong, for people.
	Message string
	// Field is the request field at fault, for example "options.decode.beam_width", or empty.
	Field string
	// RequestID names the call in the server's log, or is empty.
	RequestID string
	// RetryAfter is how long to wait before trying again; 0 when the server did not say.
	RetryAfter time.Duration
}

// Error has the code, the message, and the reason and the field where there are any.
func (e *OcrError) Error() string {
	text := fmt.Sprintf("%v: %s", e.Code, e.Message)
	if e.Reason != glyphwirev1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		text = fmt.Sprintf("%v, %s: %s", e.Code, strings.TrimPrefix(e.Reason.String(), reasonPrefix), e.Message)
	}
	if e.Field == "" {
		return text
	}
	return text + " (" + e.Field + ")"
}

// Is tells that a call without time is a deadline exceeded, whoever's clock noticed it.
func (e *OcrError) Is(target error) bool {
	return target == context.DeadlineExceeded && e.Code == codes.DeadlineExceeded ||
		target == context.Canceled && e.Code == codes.Canceled
}

// GRPCStatus lets status.Code and status.FromError see the code.
func (e *OcrError) GRPCStatus() *status.Status {
	return status.New(e.Code, e.Message)
}

// fromCall is the error of a call that failed.
func fromCall(err error, trailer metadata.MD) *OcrError {
	failure := status.Convert(err)
	result := &OcrError{Code: failure.Code(), Message: failure.Message()}
	if ids := trailer.Get(requestIDKey); len(ids) > 0 {
		result.RequestID = ids[0]
	}
	for _, detail := range failure.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == domain {
				// A newer server may know reasons that this client does not: they are 0, unspecified.
				result.Reason = ErrorReason(glyphwirev1.ErrorReason_value[detail.GetReason()])
				result.Field = detail.GetMetadata()["field"]
			}
		case *errdetails.RetryInfo:
			result.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return result
}

// fromMessage is the error of one image of a batch or one frame of a stream.
func fromMessage(message *glyphwirev1.Error) *OcrError {
	reason := message.GetReason()
	return &OcrError{Code: codeOf(reason), Reason: reason, Message: message.GetMessage(), Field: message.GetField()}
}

// codesOfReasons has the reasons whose code is not InvalidArgument.
var codesOfReasons = map[ErrorReason]codes.Code{
	glyphwirev1.ErrorReason_ERROR_REASON_UNSPECIFIED:      codes.Unknown,
	glyphwirev1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND:  codes.NotFound,
	glyphwirev1.ErrorReason_ERROR_REASON_QUEUE_FULL:       codes.Unavailable,
	glyphwirev1.ErrorReason_ERROR_REASON_DRAINING:         codes.Unavailable,
	glyphwirev1.ErrorReason_ERROR_REASON_ENGINE_LOST:      codes.Unavailable,
	glyphwirev1.ErrorReason_ERROR_REASON_DEADLINE_EXPIRED: codes.DeadlineExceeded,
	glyphwirev1.ErrorReason_ERROR_REASON_INTERNAL:         codes.Internal,
	glyphwirev1.ErrorReason_ERROR_REASON_TOKEN_INVALID:    codes.Unauthenticated,
	glyphwirev1.ErrorReason_ERROR_REASON_CALL_FORBIDDEN:   codes.PermissionDenied,
	glyphwirev1.ErrorReason_ERROR_REASON_CLIENT_LIMIT:     codes.ResourceExhausted,
	glyphwirev1.ErrorReason_ERROR_REASON_MODEL_REJECTED:   codes.FailedPrecondition,
	glyphwirev1.ErrorReason_ERROR_REASON_MODEL_IS_DEFAULT: codes.FailedPrecondition,
}

func codeOf(reason ErrorReason) codes.Code {
	if code, listed := codesOfReasons[reason]; listed {
		return code
	}
	if _, known := glyphwirev1.ErrorReason_name[int32(reason)]; known {
		return codes.InvalidArgument
	}
	return codes.Unknown
}
