package glyphwire_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"google.golang.org/protobuf/proto"

	"glyphwire.dev/client/go/glyphwire"
	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

func Example() {
	client, err := glyphwire.NewOcrClient("127.0.0.1:50051", glyphwire.ClientOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	page, err := client.Recognize(context.Background(), glyphwire.File("page.jpg"), nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range page.Lines {
		fmt.Printf("%.0f%% %s\n", 100*line.Confidence, line.Text)
	}
}

func ExampleOcrClient_RecognizeBatch() {
	var client *glyphwire.OcrClient // from NewOcrClient
	options := &glyphwire.RecognizeOptions{
		Mode:   glyphwire.ModeLine,
		Decode: &glyphwire.DecodeOptions{Decoder: glyphwire.DecoderPrefixBeam, BeamWidth: proto.Int32(20)},
	}
	images := []glyphwire.ImageSource{glyphwire.File("a.png"), glyphwire.File("b.png")}
	results, err := client.RecognizeBatch(context.Background(), images, options)
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range results {
		fmt.Println(glyphwire.Text(result.Recognition), result.Err)
	}
}

func ExampleOcrClient_Stream() {
	var client *glyphwire.OcrClient // from NewOcrClient
	var frames <-chan glyphwire.Frame
	results := client.Stream(context.Background(), glyphwire.FramesFrom(frames), nil)
	err := results.Each(func(result glyphwire.FrameResult) error {
		fmt.Println(result.FrameID, glyphwire.Text(result.Recognition), result.Err)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleOcrError() {
	var err error // from a method of OcrClient
	var failure *glyphwire.OcrError
	if errors.As(err, &failure) && failure.Reason == glyphwirev1.ErrorReason_ERROR_REASON_QUEUE_FULL {
		fmt.Println("try again in", failure.RetryAfter)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		fmt.Println("it took too long")
	}
}
