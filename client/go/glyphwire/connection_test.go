package glyphwire_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"glyphwire.dev/client/go/glyphwire"
	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

// A server on a Unix socket is reached as "unix:path", with a token if need be.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	serve(t, listen(t, "unix", path), &fakeServer{recognize: tokenAsText})
	client := newClient(t, "unix:"+path, glyphwire.ClientOptions{Token: "secret"})
	recognition, err := client.Recognize(ctx, bytesOf("a"), nil)
	if err != nil || glyphwire.Text(recognition) != "Bearer secret" {
		t.Errorf("%v, %v", recognition, err)
	}
}

// Over TLS the token goes with calls and streams; a server whose certificate is not trusted gets neither.
func TestTLSWithToken(t *testing.T) {
	certificate, authorities := selfSigned(t)
	listener := listen(t, "tcp", "127.0.0.1:0")
	serve(t, listener, &fakeServer{recognize: tokenAsText, stream: func(s glyphwirev1.OcrService_StreamRecognizeServer) error {
		return status.Error(codes.PermissionDenied, tokenOf(s.Context()))
	}}, grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	trusting := glyphwire.ClientOptions{TLS: &tls.Config{RootCAs: authorities}, Token: "secret"}
	client := newClient(t, listener.Addr().String(), trusting)
	recognition, err := client.Recognize(ctx, bytesOf("a"), nil)
	if err != nil || glyphwire.Text(recognition) != "Bearer secret" {
		t.Errorf("%v, %v", recognition, err)
	}
	_, err = collect(client.Stream(ctx, glyphwire.Frames(), nil))
	if failure := ocrError(t, err); failure.Message != "Bearer secret" {
		t.Errorf("%v", err)
	}
	wary := newClient(t, listener.Addr().String(), glyphwire.ClientOptions{TLS: &tls.Config{}, MaxAttempts: 1})
	if _, err := wary.Recognize(ctx, bytesOf("a"), nil); ocrError(t, err).Code != codes.Unavailable {
		t.Errorf("%v", err)
	}
}

// A token does not leave this machine without TLS, unless it may.
func TestTokensNeedTLS(t *testing.T) {
	for target, allowed := range map[string]bool{
		"ocr.example:50051": false, "localhost.example:50051": false, "192.0.2.1:50051": false,
		"localhost:50051": true, "127.0.0.1:50051": true, "[::1]:50051": true, "unix:/run/ocr": true,
	} {
		client, err := glyphwire.NewOcrClient(target, glyphwire.ClientOptions{Token: "secret"})
		if (err == nil) != allowed {
			t.Errorf("%s: %v", target, err)
		}
		if err == nil {
			client.Close()
		}
	}
	newClient(t, "ocr.example:50051", glyphwire.ClientOptions{Token: "secret", AllowPlaintextToken: true})
}

func tokenAsText(
	ctx context.Context, _ *glyphwirev1.RecognizeRequest,
) (*glyphwirev1.RecognizeResponse, error) {
	lines := []*glyphwirev1.Line{{Text: tokenOf(ctx)}}
	return &glyphwirev1.RecognizeResponse{Recognition: &glyphwirev1.Recognition{Lines: lines}}, nil
}

func tokenOf(ctx context.Context) string {
	received, _ := metadata.FromIncomingContext(ctx)
	if tokens := received.Get("authorization"); len(tokens) == 1 {
		return tokens[0]
	}
	return ""
}

// selfSigned makes a certificate for the loopback address, and the pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	encoded, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(encoded)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AddCert(certificate)
	return tls.Certificate{Certificate: [][]byte{encoded}, PrivateKey: key}, authorities
}
