//go:build go1.23

package glyphwire_test

import (
	"testing"

	"glyphwire.dev/client/go/glyphwire"
)

// From Go 1.23 on a stream is something to range over, and to break out of.
func TestRangingOverAStream(t *testing.T) {
	client := connect(t, &fakeServer{}, glyphwire.ClientOptions{})
	texts := ""
	for result, err := range client.Stream(ctx, glyphwire.Frames(bytesOf("a"), bytesOf("b"), bytesOf("c")), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if texts += glyphwire.Text(result.Recognition); len(texts) == 2 {
			break
		}
	}
	if texts != "ab" {
		t.Error(texts)
	}
}
