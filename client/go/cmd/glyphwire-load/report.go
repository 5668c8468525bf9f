package main

import (
	"errors"
	"math"
	"sort"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"

	"glyphwire.dev/client/go/glyphwire"
	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

// report is one run, with the fields of `glyphwire bench --json`. Rates are per second of Seconds, from the end of the
// warm-up to the last answer.
type report struct {
	Kind             string    `json:"kind"`
	Loop             string    `json:"loop"`
	Seconds          float64   `json:"seconds"`
	RequestsSent     int       `json:"requests_sent"`
	RequestsUnsent   int       `json:"requests_unsent"`
	RequestsAnswered int       `json:"requests_answered"`
	ImagesRead       int       `json:"images_read"`
	ImagesFailed     int       `json:"images_failed"`
	RequestsPerS     float64   `json:"requests_per_s"`
	ImagesPerS       float64   `json:"images_per_s"`
	GoodputPerS      *float64  `json:"goodput_per_s"`
	LatencyMs        quantiles `json:"latency_ms"`
	RefusalMs        quantiles `json:"refusal_ms"`
	SendLagMs        quantiles `json:"send_lag_ms"`
	Failures         []failure `json:"failures"`
	BrokenStreams    []failure `json:"broken_streams"`
	ClientCPUCores   float64   `json:"client_cpu_cores"`
}

// quantiles in milliseconds, nil of nothing.
type quantiles map[string]float64

type failure struct {
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// tally is what became of the requests that were due from begin to end.
type tally struct {
	begin, end time.Time

	mutex                  sync.Mutex
	last                   time.Time
	sent, inTime           int
	latency, lag, refusals []time.Duration
	failed                 map[[2]string]int
}

func newTally(begin, end time.Time) *tally {
	return &tally{begin: begin, end: end, last: begin, failed: map[[2]string]int{}}
}

// addSent counts a request that leaves.
func (t *tally) addSent(due, sent time.Time) {
	if !t.counts(due) {
		return
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.sent++
	t.lag = append(t.lag, sent.Sub(due))
}

// addAnswer counts a request that is over. deadline: 0 for none.
func (t *tally) addAnswer(due, sent time.Time, err error, deadline time.Duration) {
	now := time.Now()
	if !t.counts(due) {
		return
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if now.After(t.last) {
		t.last = now
	}
	if err != nil {
		cause, isRefusal := causeOf(err)
		t.failed[cause]++
		if isRefusal {
			t.refusals = append(t.refusals, now.Sub(sent))
		}
		return
	}
	t.latency = append(t.latency, now.Sub(due))
	if deadline == 0 || now.Sub(due) <= deadline {
		t.inTime++
	}
}

func (t *tally) report(plan plan, used time.Duration) report {
	seconds := math.Max(plan.duration.Seconds(), t.last.Sub(t.begin).Seconds())
	made := report{
		Kind:             plan.kind,
		Loop:             "closed",
		Seconds:          seconds,
		RequestsSent:     t.sent,
		RequestsAnswered: len(t.latency),
		ImagesRead:       len(t.latency),
		RequestsPerS:     float64(len(t.latency)) / seconds,
		ImagesPerS:       float64(len(t.latency)) / seconds,
		LatencyMs:        quantilesOf(t.latency),
		RefusalMs:        quantilesOf(t.refusals),
		Failures:         []failure{},
		BrokenStreams:    []failure{},
		ClientCPUCores:   used.Seconds() / seconds,
	}
	if plan.rate > 0 {
		made.Loop, made.SendLagMs = "open", quantilesOf(t.lag)
	}
	if plan.deadline > 0 {
		goodput := float64(t.inTime) / seconds
		made.GoodputPerS = &goodput
	}
	for cause, count := range t.failed {
		made.ImagesFailed += count
		made.Failures = append(made.Failures, failure{cause[0], cause[1], count})
	}
	return made
}

func (t *tally) counts(due time.Time) bool {
	return !due.Before(t.begin) && due.Before(t.end)
}

// causeOf an error: its code and reason, and whether the server was too busy for the request.
func causeOf(err error) (cause [2]string, isRefusal bool) {
	var failed *glyphwire.OcrError
	if !errors.As(err, &failed) {
		return [2]string{"UNKNOWN", err.Error()}, false
	}
	reason := strings.TrimPrefix(failed.Reason.String(), "ERROR_REASON_")
	return [2]string{code.Code(failed.Code).String(), reason}, failed.Reason == glyphwirev1.ErrorReason_ERROR_REASON_QUEUE_FULL
}

// quantilesOf are the least values that so many do not exceed, the largest, and the mean.
func quantilesOf(durations []time.Duration) quantiles {
	if len(durations) == 0 {
		return nil
	}
	ordered := append([]time.Duration(nil), durations...)
	sort.Slice(ordered, func(i, j int) bool { return ordered[i] < ordered[j] })
	found := quantiles{}
	for name, share := range map[string]float64{"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1} {
		found[name] = milliseconds(ordered[int(math.Ceil(share*float64(len(ordered))))-1])
	}
	var sum time.Duration
	for _, each := range ordered {
		sum += each
	}
	found["mean"] = milliseconds(sum) / float64(len(ordered))
	return found
}

func milliseconds(duration time.Duration) float64 {
	return duration.Seconds() * 1e3
}
