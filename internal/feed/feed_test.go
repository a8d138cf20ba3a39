package feed_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/feed"
)

var errBroken = errors.New("broken")

// message is a change with its number, or the marker.
type message struct {
	number int64
	marker bool
}

// source has changes with the numbers 1 to newest, a few a page.
type source struct {
	newest, perPage int64
	// broken is the cursor after which Page fails; 0: none.
	broken int64
	asked  []int64
}

func (s *source) Page(_ context.Context, after int64) (changes []*message, cursor int64, more bool, err error) {
	s.asked = append(s.asked, after)
	if s.broken != 0 && after == s.broken {
		return nil, 0, false, errBroken
	}
	last := min(after+s.perPage, s.newest)
	for n := after + 1; n <= last; n++ {
		changes = append(changes, &message{number: n})
	}
	return changes, last, last < s.newest, nil
}

func (s *source) Marker(cursor int64) *message { return &message{number: cursor, marker: true} }

// stream is both ends of a stream in memory.
type stream struct {
	grpc.ServerStream
	grpc.ClientStream

	ctx  context.Context //nolint:containedctx // a stream has one
	sent []message
	// room is how many messages can be sent; end is what follows them.
	room int
	end  error
}

func (s *stream) Context() context.Context { return s.ctx }
func (s *stream) SendMsg(any) error        { panic("not called") }
func (s *stream) RecvMsg(any) error        { panic("not called") }

func (s *stream) Send(m *message) error {
	if len(s.sent) == s.room {
		return errBroken
	}
	s.sent = append(s.sent, *m)
	return nil
}

func (s *stream) Recv() (*message, error) {
	if len(s.sent) == 0 {
		return nil, s.end
	}
	m := s.sent[0]
	s.sent = s.sent[1:]
	return &m, nil
}

// sent returns what Send sends after a cursor.
func sent(t *testing.T, src *source, after int64, room int) ([]message, error) {
	t.Helper()
	s := &stream{ctx: t.Context(), room: room}
	err := feed.Send[message](s, after, src)
	return s.sent, err
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		newest int64
		after  int64
		want   []message
		asked  []int64
	}{
		{"nothing has changed", 0, 0, []message{{0, true}}, []int64{0}},
		{"the reader has all", 5, 5, []message{{5, true}}, []int64{5}},
		{"the reader is ahead", 5, 9, []message{{5, true}}, []int64{9}},
		{"one page", 2, 0, []message{{1, false}, {2, false}, {2, true}}, []int64{0}},
		{"several pages", 5, 0, []message{{1, false}, {2, false}, {3, false}, {4, false}, {5, false}, {5, true}}, []int64{0, 2, 4}},
		{"from the middle", 5, 2, []message{{3, false}, {4, false}, {5, false}, {5, true}}, []int64{2, 4}},
	} {
		src := &source{newest: c.newest, perPage: 2}
		got, err := sent(t, src, c.after, 10)
		if err != nil || !slices.Equal(got, c.want) || !slices.Equal(src.asked, c.asked) {
			t.Errorf("%s: sent %v after pages %v, %v, want %v after %v", c.name, got, src.asked, err, c.want, c.asked)
		}
	}
}

// A failure ends the stream without a marker.
func TestSendFails(t *testing.T) {
	t.Parallel()
	first := []message{{1, false}, {2, false}}
	if got, err := sent(t, &source{newest: 5, perPage: 2, broken: 2}, 0, 10); !errors.Is(err, errBroken) || !slices.Equal(got, first) {
		t.Errorf("the source failed: sent %v, %v, want %v", got, err, first)
	}
	src := &source{newest: 5, perPage: 2}
	if got, err := sent(t, src, 0, 2); !errors.Is(err, errBroken) || !slices.Equal(got, first) || len(src.asked) != 2 {
		t.Errorf("the stream failed: sent %v after pages %v, %v, want %v", got, src.asked, err, first)
	}
}

type request struct{ after int64 }

// receive reads what was sent, with a take that refuses one number. The channel closes with the stream's context.
func receive(t *testing.T, opened error, s *stream, refused int64) (taken []message, end <-chan struct{}, err error) {
	t.Helper()
	open := func(ctx context.Context, r *request, _ ...grpc.CallOption) (grpc.ServerStreamingClient[message], error) {
		if r.after != 7 {
			t.Errorf("opened after %d, want 7", r.after)
		}
		end = ctx.Done()
		return s, opened
	}
	from := feed.Origin("the catalog")
	err = feed.Receive(t.Context(), from, open, &request{after: 7}, func(m *message) (bool, error) {
		if m.number == refused {
			return false, errBroken
		}
		taken = append(taken, *m)
		return m.marker, nil
	})
	return taken, end, err
}

func TestReceive(t *testing.T) {
	t.Parallel()
	for _, all := range [][]message{{{8, true}}, {{8, false}, {9, false}, {9, true}}} {
		if got, _, err := receive(t, nil, &stream{sent: all, end: io.EOF}, 0); err != nil || !slices.Equal(got, all) {
			t.Errorf("received %v, %v, want %v", got, err, all)
		}
	}
}

func TestReceiveWantsTheMarker(t *testing.T) {
	t.Parallel()
	change, marker := message{8, false}, message{8, true}
	for _, c := range []struct {
		name   string
		opened error
		sent   []message
		end    error
		want   string
	}{
		{"not opened", errBroken, nil, nil, "the catalog cannot be reached"},
		{"broken at once", nil, nil, errBroken, "the catalog cannot be reached"},
		{"broken after a change", nil, []message{change}, errBroken, "the catalog cannot be reached"},
		{"broken after the marker", nil, []message{change, marker}, errBroken, "the catalog cannot be reached"},
		{"empty", nil, nil, io.EOF, "the catalog's answer ended early"},
		{"ended after a change", nil, []message{change}, io.EOF, "the catalog's answer ended early"},
	} {
		_, _, err := receive(t, c.opened, &stream{sent: c.sent, end: c.end}, 0)
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Unavailable || e.Reason != errs.ReasonUpstreamUnavailable || e.Message != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// A change that cannot be taken is not the origin's absence, and ends the call.
func TestReceiveStopsAtWhatCannotBeTaken(t *testing.T) {
	t.Parallel()
	s := &stream{sent: []message{{8, false}, {9, false}, {10, false}, {10, true}}, end: io.EOF}
	got, end, err := receive(t, nil, s, 9)
	if !errors.Is(err, errBroken) || errs.KindOf(err) == errs.Unavailable || !slices.Equal(got, []message{{8, false}}) {
		t.Errorf("received %v, %v", got, err)
	}
	select {
	case <-end:
	default:
		t.Error("the stream is still open")
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []string
		want   int64
	}{
		{nil, 0},
		{[]string{"12"}, 12},
		{[]string{"3", "x", "12", "5"}, 12},
		{[]string{"", "-4", "1e3", "9223372036854775808"}, 0},
	} {
		if got := feed.Revision(c.values); got != c.want {
			t.Errorf("%q: %d, want %d", c.values, got, c.want)
		}
	}
}
