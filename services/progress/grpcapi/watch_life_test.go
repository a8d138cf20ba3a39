package grpcapi

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestWatchesEnd ends a stream that has lasted long enough, and one of a server that goes.
func TestWatchesEnd(t *testing.T) {
	old, cancel := watchUntil(t.Context(), nil, time.Millisecond)
	defer cancel()
	<-old.Done()
	if !errors.Is(old.Err(), context.DeadlineExceeded) {
		t.Error(old.Err())
	}
	draining := make(chan struct{})
	young, cancel := watchUntil(t.Context(), draining, time.Hour)
	defer cancel()
	if young.Err() != nil {
		t.Error(young.Err())
	}
	close(draining)
	<-young.Done()
}
