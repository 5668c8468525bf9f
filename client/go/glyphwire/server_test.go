package glyphwire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"glyphwire.dev/client/go/glyphwire"
	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

// These tests run against a real server, which the Python tests start: tests/e2e/test_go_client.py.
const (
	serverVariable = "GLYPHWIRE_TEST_SERVER" // its address
	dataVariable   = "GLYPHWIRE_TEST_DATA"   // the folder of sample images
)

var (
	lineMode    = &glyphwire.RecognizeOptions{Mode: glyphwire.ModeLine}
	sampleNames = []string{"line_digits.jpg", "line_sign.jpg", "line_zh.jpg", "line_zh_kai.jpg"}
)

// One image is read, with its characters, alternatives and timings.
func TestServerRecognize(t *testing.T) {
	client := newClient(t, serverAddress(t), glyphwire.ClientOptions{})
	if err := client.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	recognition, err := client.Recognize(ctx, sample("line_digits.jpg"), &glyphwire.RecognizeOptions{
		Mode:              glyphwire.ModeLine,
		IncludeCharacters: true,
		Decode: &glyphwire.DecodeOptions{
			Decoder: glyphwire.DecoderPrefixBeam, BeamWidth: proto.Int32(8), Alternatives: 2,
		},
	})
	if err != nil || len(recognition.Lines) != 1 {
		t.Fatalf("%v, %v", recognition, err)
	}
	line := recognition.Lines[0]
	if !sameText(line.Text, truths(t)["line_digits.jpg"]) || line.Confidence < 0.8 {
		t.Errorf("%v", line)
	}
	if len(line.Characters) == 0 || len(line.Alternatives) == 0 || recognition.Timings.TotalMs <= 0 {
		t.Errorf("%v", recognition)
	}
}

// A batch has one result per image, in order, and a bad image its error.
func TestServerBatch(t *testing.T) {
	client := newClient(t, serverAddress(t), glyphwire.ClientOptions{})
	images := []glyphwire.ImageSource{sample("line_sign.jpg"), bytesOf("no image"), sample("line_zh.jpg")}
	results, err := client.RecognizeBatch(ctx, images, lineMode)
	if err != nil || len(results) != len(images) {
		t.Fatalf("%v, %v", results, err)
	}
	for i, name := range map[int]string{0: "line_sign.jpg", 2: "line_zh.jpg"} {
		if text := glyphwire.Text(results[i].Recognition); !sameText(text, truths(t)[name]) {
			t.Errorf("%s: %q, %v", name, text, results[i].Err)
		}
	}
	failure := ocrError(t, results[1].Err)
	if failure.Reason != glyphwirev1.ErrorReason_ERROR_REASON_IMAGE_UNDECODABLE {
		t.Errorf("%+v", failure)
	}
}

// A stream whose connection drops in between has one result per frame all the same, in order.
func TestServerStream(t *testing.T) {
	proxy := startProxy(t, serverAddress(t))
	client := newClient(t, proxy.address(), glyphwire.ClientOptions{})
	var images []glyphwire.ImageSource
	for i := 0; i < 24; i++ {
		images = append(images, sample(sampleNames[i%len(sampleNames)]))
	}
	var results []glyphwire.FrameResult
	err := client.Stream(ctx, glyphwire.Frames(images...), lineMode).Each(func(result glyphwire.FrameResult) error {
		if results = append(results, result); len(results)%7 == 0 {
			proxy.drop()
		}
		return result.Err
	})
	if ids := idsOf(results); err != nil || !reflect.DeepEqual(ids, upTo(len(images))) {
		t.Fatalf("%v, %v", ids, err)
	}
	for i, result := range results {
		name := sampleNames[i%len(sampleNames)]
		if text := glyphwire.Text(result.Recognition); !sameText(text, truths(t)[name]) {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// What the server refuses arrives as code, reason, field and request id.
func TestServerErrors(t *testing.T) {
	client := newClient(t, serverAddress(t), glyphwire.ClientOptions{})
	beamless := &glyphwire.RecognizeOptions{Decode: &glyphwire.DecodeOptions{BeamWidth: proto.Int32(0)}}
	unknown := &glyphwire.RecognizeOptions{Model: "nobody"}
	for name, example := range map[string]struct {
		image   glyphwire.ImageSource
		options *glyphwire.RecognizeOptions
		want    glyphwire.OcrError
	}{
		"no image": {nil, nil, glyphwire.OcrError{
			Code: codes.InvalidArgument, Reason: glyphwirev1.ErrorReason_ERROR_REASON_REQUEST_INVALID, Field: "image",
		}},
		"damaged": {bytesOf("no image"), nil, glyphwire.OcrError{
			Code: codes.InvalidArgument, Reason: glyphwirev1.ErrorReason_ERROR_REASON_IMAGE_UNDECODABLE,
			Field: "image.encoded",
		}},
		"option": {sample("line_sign.jpg"), beamless, glyphwire.OcrError{
			Code: codes.InvalidArgument, Reason: glyphwirev1.ErrorReason_ERROR_REASON_OPTION_INVALID,
			Field: "options.decode.beam_width",
		}},
		"model": {sample("line_sign.jpg"), unknown, glyphwire.OcrError{
			Code: codes.NotFound, Reason: glyphwirev1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND, Field: "options.model",
		}},
	} {
		_, err := client.Recognize(ctx, example.image, example.options)
		failure := ocrError(t, err)
		if failure.Message == "" || len(failure.RequestID) != 32 {
			t.Errorf("%s: %+v", name, failure)
		}
		example.want.Message, example.want.RequestID = failure.Message, failure.RequestID
		if *failure != example.want {
			t.Errorf("%s: %+v, not %+v", name, *failure, example.want)
		}
	}
	_, err := collect(client.Stream(ctx, glyphwire.Frames(), unknown))
	if failure := ocrError(t, err); failure.Code != codes.NotFound || failure.RequestID == "" {
		t.Errorf("stream: %+v", failure)
	}
}

// A deadline that is too short ends the call with that error.
func TestServerDeadline(t *testing.T) {
	client := newClient(t, serverAddress(t), glyphwire.ClientOptions{})
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err := client.Recognize(short, sample("page_small.jpg"), nil)
	if failure := ocrError(t, err); failure.Code != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v", failure)
	}
}

func serverAddress(t *testing.T) string {
	t.Helper()
	address := os.Getenv(serverVariable)
	if address == "" {
		t.Skip(serverVariable + " names no server")
	}
	return address
}

func sample(name string) glyphwire.ImageSource {
	return glyphwire.File(filepath.Join(os.Getenv(dataVariable), name))
}

// truths are the texts that the sample images show.
func truths(t *testing.T) map[string]string {
	t.Helper()
	table, err := os.ReadFile(filepath.Join(os.Getenv(dataVariable), "labels.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, row := range strings.Split(strings.TrimSpace(string(table)), "\n") {
		name, text, _ := strings.Cut(row, "\t")
		texts[name] = text
	}
	return texts
}

// sameText compares white space and case aside.
func sameText(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), ""), strings.Join(strings.Fields(b), ""))
}

// proxy passes TCP connections on until it drops them.
type proxy struct {
	listener net.Listener
	target   string
	mutex    sync.Mutex
	open     []net.Conn
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	started := &proxy{listener: listen(t, "tcp", "127.0.0.1:0"), target: target}
	t.Cleanup(func() {
		started.listener.Close()
		started.drop()
	})
	go started.accept()
	return started
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		p.mutex.Lock()
		p.open = append(p.open, near, far)
		p.mutex.Unlock()
		go io.Copy(near, far)
		go io.Copy(far, near)
	}
}

// drop closes all connections.
func (p *proxy) drop() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, connection := range p.open {
		connection.Close()
	}
	p.open = nil
}
