// Command glyphwire-read reads the text of image files through a Glyphwire server.
//
//	glyphwire-read --server 127.0.0.1:50051 page.jpg scan.png
//	glyphwire-read --stream --json frames/*.jpg
//
// It prints the lines of each image, or one JSON object per image as `glyphwire recognize --format json` does. It ends
// with status 1 when an image could not be read.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"glyphwire.dev/client/go/glyphwire"
)

var modes = map[string]glyphwire.Mode{"page": glyphwire.ModePage, "line": glyphwire.ModeLine}

type command struct {
	client  *glyphwire.OcrClient
	options *glyphwire.RecognizeOptions
	paths   []string
	json    bool
	titled  bool
	out     io.Writer
	failed  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status, err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// run is the command; an error is one of the whole, those of single images are printed.
func run(ctx context.Context, arguments []string, out io.Writer) (status int, err error) {
	flags := flag.NewFlagSet("glyphwire-read", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: glyphwire-read [flags] IMAGE...")
		flags.PrintDefaults()
	}
	server := flags.String("server", "127.0.0.1:50051", "`address`: host:port or unix:path")
	stream := flags.Bool("stream", false, "send the images as the frames of one stream")
	asJSON := flags.Bool("json", false, "print one JSON object per image")
	mode := flags.String("mode", "page", "what the images show: page or line")
	model := flags.String("model", "", "`name` or name/version of the model")
	authorities := flags.String("tls-ca", "", "`file` of the authorities that the server's certificate is checked with, or \"system\"; default no TLS")
	token := flags.String("token-file", "", "`file` with the token to send")
	_ = flags.Parse(arguments) // flag.ExitOnError
	chosen, known := modes[*mode]
	if flags.NArg() == 0 || !known {
		flags.Usage()
		return 2, nil
	}
	options, err := clientOptions(*authorities, *token)
	if err != nil {
		return 0, err
	}
	client, err := glyphwire.NewOcrClient(*server, options)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	read := &command{
		client:  client,
		options: &glyphwire.RecognizeOptions{Mode: chosen, Model: *model},
		paths:   flags.Args(),
		json:    *asJSON,
		titled:  flags.NArg() > 1,
		out:     out,
	}
	if *stream {
		err = read.stream(ctx)
	} else {
		err = read.each(ctx)
	}
	if read.failed {
		status = 1
	}
	return status, err
}

func clientOptions(authorities, tokenFile string) (options glyphwire.ClientOptions, err error) {
	if authorities != "" {
		options.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if authorities != "" && authorities != "system" {
		pem, err := os.ReadFile(authorities)
		if err != nil {
			return options, err
		}
		options.TLS.RootCAs = x509.NewCertPool()
		if !options.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return options, errors.New(authorities + " has no certificate")
		}
	}
	if tokenFile != "" {
		token, err := os.ReadFile(tokenFile)
		if err != nil {
			return options, err
		}
		options.Token = strings.TrimSpace(string(token))
	}
	return options, nil
}

// each reads one image after the other.
func (c *command) each(ctx context.Context) error {
	for _, path := range c.paths {
		recognition, err := c.client.Recognize(ctx, glyphwire.File(path), c.options)
		if err := c.report(path, glyphwire.Result{Recognition: recognition, Err: err}); err != nil {
			return err
		}
	}
	return nil
}

// stream reads all images in one call.
func (c *command) stream(ctx context.Context) error {
	images := make([]glyphwire.ImageSource, len(c.paths))
	for i, path := range c.paths {
		images[i] = glyphwire.File(path)
	}
	results := c.client.Stream(ctx, glyphwire.Frames(images...), c.options)
	return results.Each(func(result glyphwire.FrameResult) error {
		return c.report(c.paths[result.FrameID], result.Result)
	})
}

func (c *command) report(path string, result glyphwire.Result) error {
	switch {
	case result.Err != nil:
		c.failed = true
		fmt.Fprintf(os.Stderr, "%s: %v\n", path, result.Err)
	case c.json:
		return c.reportJSON(path, result.Recognition)
	default:
		if c.titled {
			fmt.Fprintf(c.out, "==> %s <==\n", path)
		}
		if len(result.Recognition.GetLines()) > 0 {
			fmt.Fprintln(c.out, glyphwire.Text(result.Recognition))
		}
	}
	return nil
}

func (c *command) reportJSON(path string, recognition *glyphwire.Recognition) error {
	encoded, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(recognition)
	if err != nil {
		return err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return err
	}
	fields["source"] = path
	encoder := json.NewEncoder(c.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(fields)
}
