package glyphwire

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

const (
	defaultTimeout       = 30 * time.Second
	defaultStreamTimeout = time.Hour
	defaultMaxAttempts   = 3
	mostAttempts         = 5
	maxMessageBytes      = 64 << 20
	unixScheme           = "unix:"

	initialBackoff    = 100 * time.Millisecond
	maxBackoff        = 5 * time.Second
	backoffMultiplier = 3
)

// Unary calls only read, so trying again is safe. A server that stops cancels calls that gRPC has not handed on to it.
const retryConfig = `{"methodConfig": [{
	"name": [
		{"service": "glyphwire.v1.OcrService", "method": "Recognize"},
		{"service": "glyphwire.v1.OcrService", "method": "BatchRecognize"},
		{"service": "glyphwire.v1.OcrService", "method": "ListModels"}
	],
	"retryPolicy": {
		"maxAttempts": %d,
		"initialBackoff": "%.1fs",
		"maxBackoff": "%.1fs",
		"backoffMultiplier": %d,
		"retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
	}
}]}`

// ClientOptions are what a client can be told besides its target. The zero value has the defaults.
type ClientOptions struct {
	// Timeout is the deadline of a unary call whose context has none. Default: 30 s.
	Timeout time.Duration
	// StreamTimeout is the deadline of a stream whose context has none. Default: 1 h.
	StreamTimeout time.Duration
	// MaxAttempts is how often a unary call is tried while the server is unavailable, within its deadline, at most 5. With
	// 1 nothing is tried again and streams are not resumed. Default: 3.
	MaxAttempts int
	// TLS makes the connection encrypted; &tls.Config{} trusts the system's authorities. Default: nil, plain.
	TLS *tls.Config
	// Token names the caller to servers that ask for one: "authorization: Bearer ...". Needs TLS, unless the server is on
	// this machine. Default: none.
	Token string
	// AllowPlaintextToken says that something else encrypts what is sent, so that Token needs no TLS.
	AllowPlaintextToken bool
	// DialOptions are gRPC's own, for interceptors and the like; they come last.
	DialOptions []grpc.DialOption
}

func (o ClientOptions) withDefaults() ClientOptions {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.StreamTimeout == 0 {
		o.StreamTimeout = defaultStreamTimeout
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = defaultMaxAttempts
	}
	if o.MaxAttempts > mostAttempts {
		o.MaxAttempts = mostAttempts
	}
	return o
}

// dial opens a connection; it is made when the first call needs it.
func dial(target string, options ClientOptions) (*grpc.ClientConn, error) {
	if options.Token != "" && options.TLS == nil && !options.AllowPlaintextToken && !isLocal(target) {
		return nil, fmt.Errorf("glyphwire: the token would cross the network to %s in plain text: use TLS", target)
	}
	reconnect := backoff.DefaultConfig
	reconnect.BaseDelay, reconnect.MaxDelay = initialBackoff, maxBackoff
	dialOptions := []grpc.DialOption{
		transportSecurity(options.TLS),
		// While calls run, so that a server whose machine is gone is noticed before the deadline.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 20 * time.Second}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			// A message is kept for retries only while it fits; the default of 256 KiB would exclude most images.
			grpc.MaxRetryRPCBufferSize(maxMessageBytes),
		),
	}
	if options.MaxAttempts > 1 {
		dialOptions = append(dialOptions, grpc.WithDefaultServiceConfig(fmt.Sprintf(retryConfig,
			options.MaxAttempts, initialBackoff.Seconds(), maxBackoff.Seconds(), backoffMultiplier)))
	}
	if options.Token != "" {
		dialOptions = append(dialOptions, grpc.WithPerRPCCredentials(bearer(options.Token)))
	}
	if strings.HasPrefix(target, unixScheme) {
		dialOptions = append(dialOptions, grpc.WithNoProxy())
	}
	// Dial and WithInsecure are deprecated, but supported throughout gRPC 1.x; what replaces them is not in the gRPC of
	// Debian 12.
	return grpc.Dial(target, append(dialOptions, options.DialOptions...)...) //nolint:staticcheck
}

func transportSecurity(config *tls.Config) grpc.DialOption {
	if config == nil {
		return grpc.WithInsecure() //nolint:staticcheck // see dial
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(config))
}

func isLocal(target string) bool {
	if strings.HasPrefix(target, unixScheme) {
		return true
	}
	host, _, err := net.SplitHostPort(target)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// bearer is a token that goes with every call.
type bearer string

func (token bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

// RequireTransportSecurity leaves the choice to dial, which knows the target.
func (token bearer) RequireTransportSecurity() bool { return false }
