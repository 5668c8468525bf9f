// Command glyphwire-load puts load on a server through the Go client, for less processor time than `glyphwire bench`
// takes.
//
//	glyphwire-load --server 127.0.0.1:50051 --mode line --concurrency 16 crops/*.jpg    # closed loop
//	glyphwire-load --kind stream --mode line --rate 40 --deadline-ms 200 crops/*.jpg    # open loop
//	glyphwire-load --kind post --server 127.0.0.1:8000/inference crops/*.jpg            # another server, by HTTP
//
// Its flags and the JSON that it prints mean what they mean there. It ends with status 1 when no image was read.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	"glyphwire.dev/client/go/glyphwire"
)

// readyTimeout is how long a server may take to load its models.
const readyTimeout = time.Minute

var modes = map[string]glyphwire.Mode{"page": glyphwire.ModePage, "line": glyphwire.ModeLine}

// plan is what to send, and when.
type plan struct {
	kind     string
	server   string
	images   [][]byte
	options  *glyphwire.RecognizeOptions
	warmup   time.Duration
	duration time.Duration
	// deadline of each request; 0 for none.
	deadline time.Duration
	// rate of an open loop, requests a second; 0 for a closed one, which keeps concurrency requests unanswered.
	rate        float64
	concurrency int
	seed        int64
}

func main() {
	plan, err := parse(os.Args[1:])
	var report report
	if err == nil {
		report, err = run(context.Background(), plan)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || report.ImagesRead == 0 {
		os.Exit(1)
	}
}

func parse(arguments []string) (plan, error) {
	flags := flag.NewFlagSet("glyphwire-load", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: glyphwire-load [flags] IMAGE...")
		flags.PrintDefaults()
	}
	var p plan
	flags.StringVar(&p.server, "server", "127.0.0.1:50051", "`address`: host:port or unix:path; with --kind post host:port/path")
	flags.StringVar(&p.kind, "kind", "unary", "what a request is: unary, stream (a frame of one stream) or post (an image by HTTP)")
	mode := flags.String("mode", "page", "what the images show: page or line")
	flags.IntVar(&p.concurrency, "concurrency", 1, "closed loop: requests unanswered at once")
	flags.Float64Var(&p.rate, "rate", 0, "open loop: requests a second, at random times")
	flags.Int64Var(&p.seed, "seed", 0, "of the random times")
	duration := flags.Float64("duration", 10, "`seconds` that are measured")
	warmup := flags.Float64("warmup", 2, "`seconds` before them")
	deadline := flags.Float64("deadline-ms", 0, "deadline of each request in `milliseconds`; what is read within it is goodput")
	_ = flags.Parse(arguments) // flag.ExitOnError
	chosen, known := modes[*mode]
	if _, sends := senders[p.kind]; !sends || !known || flags.NArg() == 0 || p.concurrency < 1 || p.rate < 0 || *duration <= 0 {
		flags.Usage()
		os.Exit(2)
	}
	p.options = &glyphwire.RecognizeOptions{Mode: chosen}
	p.duration, p.warmup = ofSeconds(*duration), ofSeconds(*warmup)
	p.deadline = ofSeconds(*deadline / 1e3)
	for _, path := range flags.Args() {
		image, err := os.ReadFile(path)
		if err != nil {
			return p, err
		}
		p.images = append(p.images, image)
	}
	return p, nil
}

// run sends by the plan, and reports what came of it.
func run(ctx context.Context, plan plan) (report, error) {
	client, err := glyphwire.NewOcrClient(plan.server, glyphwire.ClientOptions{MaxAttempts: 1})
	if err != nil {
		return report{}, err
	}
	defer client.Close()
	if plan.kind != "post" {
		ready, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		if err := client.WaitReady(ready); err != nil {
			return report{}, err
		}
	}
	begin := time.Now().Add(plan.warmup)
	tally := newTally(begin, begin.Add(plan.duration))
	usedBefore := make(chan time.Duration, 1)
	time.AfterFunc(plan.warmup, func() { usedBefore <- processorTime() })
	if err := senders[plan.kind](ctx, client, plan, tally); err != nil {
		return report{}, err
	}
	return tally.report(plan, processorTime()-<-usedBefore), nil
}

func ofSeconds(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}

// processorTime that this process has taken.
func processorTime() time.Duration {
	var taken syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &taken); err != nil {
		return 0
	}
	return time.Duration(taken.Utime.Nano() + taken.Stime.Nano())
}
