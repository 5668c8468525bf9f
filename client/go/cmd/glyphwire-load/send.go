package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"glyphwire.dev/client/go/glyphwire"
)

// timeout of a request without a deadline.
const timeout = 30 * time.Second

// A sender sends by a plan until the time is over, and waits for what is unanswered then.
type sender func(context.Context, *glyphwire.OcrClient, plan, *tally) error

var senders = map[string]sender{"unary": sendCalls, "stream": sendFrames, "post": sendPosts}

// sendCalls sends each image as a call.
func sendCalls(ctx context.Context, client *glyphwire.OcrClient, plan plan, tally *tally) error {
	return sendEach(ctx, plan, tally, func(ctx context.Context, image []byte) error {
		_, err := client.Recognize(ctx, glyphwire.Bytes(image), plan.options)
		return err
	})
}

// sendPosts sends each image as an HTTP request, to a server of another kind.
func sendPosts(ctx context.Context, _ *glyphwire.OcrClient, plan plan, tally *tally) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1 << 10}}
	return sendEach(ctx, plan, tally, func(ctx context.Context, image []byte) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+plan.server, bytes.NewReader(image))
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", response.Status)
		}
		return nil
	})
}

// sendEach makes a request of its own of each image.
func sendEach(ctx context.Context, plan plan, tally *tally, request func(context.Context, []byte) error) error {
	var numbers int64
	send := func(due time.Time) {
		image := plan.images[int(atomic.AddInt64(&numbers, 1)-1)%len(plan.images)]
		ctx, cancel := context.WithDeadline(ctx, due.Add(plan.timeout()))
		defer cancel()
		sent := time.Now()
		tally.addSent(due, sent)
		tally.addAnswer(due, sent, request(ctx, image), plan.deadline)
	}
	var group sync.WaitGroup
	if plan.rate > 0 {
		for due := range plan.dues(tally.end) {
			group.Add(1)
			go func(due time.Time) {
				defer group.Done()
				send(due)
			}(due)
		}
	} else {
		for i := 0; i < plan.concurrency; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for now := time.Now(); now.Before(tally.end); now = time.Now() {
					send(now)
				}
			}()
		}
	}
	group.Wait()
	return nil
}

// sendFrames sends the images as frames of one stream. Returns the error of the stream.
func sendFrames(ctx context.Context, client *glyphwire.OcrClient, plan plan, tally *tally) error {
	frames := make(chan glyphwire.Frame)
	room := make(chan struct{}, plan.concurrency)
	var waiting sync.Map
	number := 0
	send := func(due time.Time) {
		sent := time.Now()
		tally.addSent(due, sent)
		waiting.Store(uint64(number), [2]time.Time{due, sent})
		frames <- glyphwire.Frame{Image: glyphwire.Bytes(plan.images[number%len(plan.images)]), FrameID: uint64(number)}
		number++
	}
	go func() {
		defer close(frames)
		if plan.rate > 0 {
			for due := range plan.dues(tally.end) {
				send(due)
			}
			return
		}
		for room <- struct{}{}; time.Now().Before(tally.end); room <- struct{}{} {
			send(time.Now())
		}
	}()
	results := client.Stream(ctx, glyphwire.FramesFrom(frames), plan.options)
	return results.Each(func(result glyphwire.FrameResult) error {
		times, _ := waiting.LoadAndDelete(result.FrameID)
		when := times.([2]time.Time)
		tally.addAnswer(when[0], when[1], result.Err, plan.deadline)
		if plan.rate == 0 {
			<-room
		}
		return nil
	})
}

// dues are the times at which the requests of an open loop are due, each when it has come: a Poisson process.
func (p plan) dues(end time.Time) <-chan time.Time {
	dues := make(chan time.Time)
	go func() {
		defer close(dues)
		random := rand.New(rand.NewSource(p.seed))
		due := time.Now()
		for {
			due = due.Add(ofSeconds(random.ExpFloat64() / p.rate))
			if !due.Before(end) {
				return
			}
			time.Sleep(time.Until(due))
			dues <- due
		}
	}()
	return dues
}

func (p plan) timeout() time.Duration {
	if p.deadline > 0 {
		return p.deadline
	}
	return timeout
}
