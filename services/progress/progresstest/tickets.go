package progresstest

import (
	"crypto/sha256"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// ticketFor is a ticket that is accepted until a time, with every field set.
func ticketFor(learner string, until time.Time) progress.WatchTicket {
	return progress.WatchTicket{
		Hash: sha256.Sum256([]byte(newID())), LearnerID: learner, Issuer: "https://issuer.example", Subject: "ada — 1", Command: true,
		Roles: []string{"learner", "admin"}, TokenExpires: at.Add(time.Hour), Expires: until,
	}
}

// addTicket stores a ticket for which there is room.
func addTicket(t *testing.T, s Store, ticket progress.WatchTicket, now time.Time) {
	t.Helper()
	if free, err := s.AddTicket(t.Context(), ticket, now); err != nil || !free.IsZero() {
		t.Fatalf("not stored: %v, %v", free, err)
	}
}

// wantNoTicket checks that a ticket cannot be taken.
func wantNoTicket(t *testing.T, s Store, hash [32]byte) {
	t.Helper()
	if got, err := s.TakeTicket(t.Context(), hash); errs.KindOf(err) != errs.NotFound || errs.ReasonOf(err) != errs.ReasonTicketNotFound {
		t.Errorf("took %+v, %v", got, err)
	}
}

func takeTicket(t *testing.T, s Store) {
	one, other := ticketFor(newID(), at.Add(time.Minute)), ticketFor(newID(), at.Add(time.Minute))
	other.Roles, other.Command = nil, false
	addTicket(t, s, one, at)
	addTicket(t, s, other, at)
	wantNoTicket(t, s, sha256.Sum256([]byte("never given")))
	for _, want := range []progress.WatchTicket{one, other} {
		got, err := s.TakeTicket(t.Context(), want.Hash)
		must(t, err)
		if len(want.Roles) == 0 && len(got.Roles) == 0 {
			got.Roles = want.Roles
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("took %+v, want %+v", got, want)
		}
		wantNoTicket(t, s, want.Hash)
	}
}

func raceForTicket(t *testing.T, s Store) {
	for range 20 {
		ticket := ticketFor(newID(), at.Add(time.Minute))
		addTicket(t, s, ticket, at)
		var got atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				switch _, err := s.TakeTicket(t.Context(), ticket.Hash); {
				case err == nil:
					got.Add(1)
				case errs.KindOf(err) != errs.NotFound:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 {
			t.Fatalf("%d of 8 took one ticket", got.Load())
		}
	}
}

func fullOfTickets(t *testing.T, s Store) {
	ctx, learner := t.Context(), newID()
	var tickets []progress.WatchTicket
	for i := range progress.MaxWatchTickets {
		tickets = append(tickets, ticketFor(learner, at.Add(time.Minute+time.Duration(i)*time.Second)))
		addTicket(t, s, tickets[i], at)
	}
	late := ticketFor(learner, at.Add(2*time.Minute))
	if free, err := s.AddTicket(ctx, late, at); err != nil || !free.Equal(tickets[0].Expires) {
		t.Errorf("one too many: %v, %v; want %v", free, err, tickets[0].Expires)
	}
	wantNoTicket(t, s, late.Hash)
	addTicket(t, s, ticketFor(newID(), at.Add(time.Minute)), at) // another learner's
	_, err := s.TakeTicket(ctx, tickets[5].Hash)
	must(t, err)
	addTicket(t, s, late, at) // a used one makes room
	if free, err := s.AddTicket(ctx, ticketFor(learner, at.Add(time.Hour)), at); err != nil || free.IsZero() {
		t.Errorf("one too many again: %v, %v", free, err)
	}
	addTicket(t, s, ticketFor(learner, at.Add(time.Hour)), tickets[0].Expires) // and so does an expired one
}

func racingTickets(t *testing.T, s Store) {
	learner := newID()
	must(t, saveZones(t.Context(), s, 1, []progress.LearnerZone{{LearnerID: learner, TimeZone: "Europe/Berlin"}})) // known, as the callers see to
	var stored atomic.Int32
	var wg sync.WaitGroup
	for range 2 * progress.MaxWatchTickets {
		wg.Go(func() {
			free, err := s.AddTicket(t.Context(), ticketFor(learner, at.Add(time.Minute)), at)
			switch {
			case err != nil:
				t.Error(err)
			case free.IsZero():
				stored.Add(1)
			}
		})
	}
	wg.Wait()
	if got := stored.Load(); got != progress.MaxWatchTickets {
		t.Errorf("stored %d", got)
	}
}

// expiredTickets holds that each new ticket removes more expired ones than it adds, and leaves those that are not.
func expiredTickets(t *testing.T, s Store) {
	ctx := t.Context()
	var old []progress.WatchTicket
	for i := range 40 {
		old = append(old, ticketFor(newID(), at.Add(time.Duration(i)*time.Millisecond)))
		addTicket(t, s, old[i], at.Add(-time.Hour))
	}
	later := at.Add(time.Minute)
	young := ticketFor(newID(), later.Add(time.Microsecond))
	addTicket(t, s, young, at.Add(-time.Hour))
	addTicket(t, s, ticketFor(newID(), later.Add(time.Minute)), later)
	if got, err := s.TakeTicket(ctx, old[39].Hash); err != nil || !got.Expires.Equal(old[39].Expires) {
		t.Errorf("all were removed at once: %v, %v", got, err)
	}
	for range 10 {
		addTicket(t, s, ticketFor(newID(), later.Add(time.Minute)), later)
	}
	for i := range old {
		if _, err := s.TakeTicket(ctx, old[i].Hash); err == nil {
			t.Fatalf("ticket %d, which expired, is stored for good", i)
		}
	}
	if _, err := s.TakeTicket(ctx, young.Hash); err != nil {
		t.Errorf("one that has not expired: %v", err)
	}
}
