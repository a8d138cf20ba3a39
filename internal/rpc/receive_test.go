package rpc

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

var errEnded = errors.New("the stream has ended")

// slowSender announces a message and sends nothing of it.
type slowSender struct {
	transport

	length  uint32
	reading chan struct{}
	ended   chan *status.Status
}

func newSlowSender(length uint32) *slowSender {
	return &slowSender{length: length, reading: make(chan struct{}), ended: make(chan *status.Status, 1)}
}

func (s *slowSender) ReadMessageHeader(header []byte) error {
	binary.BigEndian.PutUint32(header[1:], s.length)
	return nil
}

func (s *slowSender) Read(int) (mem.BufferSlice, error) {
	close(s.reading)
	<-s.ended
	return nil, errEnded
}

func (s *slowSender) WriteStatus(st *status.Status) error {
	s.ended <- st
	return nil
}

// TestMessagesOnTheirWayAreBounded holds what is read at once to a number of bytes, of one caller and of
// all, however slowly it comes; small messages are always read.
func TestMessagesOnTheirWayAreBounded(t *testing.T) {
	t.Parallel()
	quota := bounds.NewQuota[string](3<<20, 2<<20)
	done := make(chan error, 2)
	begin := func(from string) (*slowSender, *receiver) {
		slow := newSlowSender(1 << 20)
		in := &receiver{transport: slow, limit: 4 << 20, patience: time.Hour, late: func() {}, quota: quota, from: from}
		go func() { done <- in.receive(&wrapperspb.BytesValue{}) }()
		<-slow.reading
		return slow, in
	}
	one, in1 := begin("ada")
	two, in2 := begin("ada")
	refused := &receiver{transport: newSlowSender(1 << 20), limit: 4 << 20, patience: time.Hour, late: func() {}, quota: quota, from: "ada"}
	if err := refused.receive(&wrapperspb.BytesValue{}); errs.ReasonOf(err) != errs.ReasonRateLimited {
		t.Errorf("a third megabyte of one caller: %v", err)
	}
	three, in3 := begin("ben")
	refused.from = "cid"
	if err := refused.receive(&wrapperspb.BytesValue{}); errs.ReasonOf(err) != errs.ReasonRateLimited {
		t.Errorf("a fourth megabyte in all: %v", err)
	}
	small := newSlowSender(1000)
	go func() { <-small.reading; small.ended <- nil }()
	refused.transport = small
	if err := refused.receive(&wrapperspb.BytesValue{}); !errors.Is(err, errEnded) {
		t.Errorf("a small message was not read: %v", err)
	}
	for _, s := range []*slowSender{one, two, three} {
		s.ended <- nil
		if err := <-done; !errors.Is(err, errEnded) {
			t.Error(err)
		}
	}
	for _, in := range []*receiver{in1, in2, in3} {
		in.done()
	}
	if quota.Used() != 0 {
		t.Errorf("%d bytes are on their way after the end", quota.Used())
	}
}

// TestMessagesMustArrive ends a call whose message does not come.
func TestMessagesMustArrive(t *testing.T) {
	t.Parallel()
	slow := newSlowSender(100)
	in := &receiver{transport: slow, limit: 4 << 20, patience: time.Millisecond, quota: bounds.NewQuota[string](0, 0)}
	var said *status.Status
	in.late = func() {
		said = newStatus(errs.New(errs.DeadlineExceeded, errs.ReasonDeadlineExceeded, "late"), origin{})
		_ = slow.WriteStatus(said)
	}
	if err := in.receive(&wrapperspb.BytesValue{}); !errors.Is(err, errEnded) || said.Code() != codes.DeadlineExceeded {
		t.Errorf("%v, %v", err, said)
	}
}
