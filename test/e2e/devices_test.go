package e2e

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

var (
	deviceSeeds = flag.Int("phones.seeds", 12, "how many learners TestTwoPhonesConverge plays, each from a seed of their own")
	deviceSeed  = flag.Uint64("phones.seed", 0, "the one seed that TestTwoPhonesConverge plays, with all that happens; 0: many")
)

const (
	// deviceWorkers is how many learners live at a time.
	deviceWorkers = 24
	// fourth is how many seeds one process plays for each that four processes play.
	fourth = 20
	// enoughBroken is how many seeds may fail before no more are begun.
	enoughBroken = 5
)

// TestTwoPhonesConverge plays learners with two or three devices each. The devices are offline at
// times, their clocks are wrong, requests and responses get lost or come twice, backups are restored,
// and an admin waives and voids in between. In the end all must know the same, no event is
// lost, and none counts twice. All that is random comes from the seed; what a network and a server
// do at the same time does not, so a failing seed may need more than one go.
func TestTwoPhonesConverge(t *testing.T) { //nolint:tparallel // one after the other: each takes the whole machine
	t.Parallel()
	t.Run("one", func(t *testing.T) { playSeeds(t, oneProcess(t), *deviceSeeds) })
	t.Run("four", func(t *testing.T) { playSeeds(t, fourProcesses(t), max(2, *deviceSeeds/fourth)) })
}

// playSeeds plays the seeds 1 to n, or the one that was asked for, against one server.
func playSeeds(t *testing.T, w *world, n int) {
	t.Helper()
	course, total := publishDeviceCourse(t, w.as(t, "author", "author")), newDeviceTally(n)
	seeds := make(chan uint64)
	var broken atomic.Int32
	var workers sync.WaitGroup
	for range deviceWorkers {
		workers.Go(func() {
			for seed := range seeds {
				if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { playSeed(t, w, course, seed, total) }) {
					broken.Add(1)
				}
				total.played()
			}
		})
	}
	if *deviceSeed != 0 {
		seeds <- *deviceSeed
	}
	for seed := uint64(1); *deviceSeed == 0 && seed <= uint64(n) && broken.Load() < enoughBroken; seed++ {
		seeds <- seed
	}
	close(seeds)
	workers.Wait()
	t.Log(total)
}

// playSeed plays one learner to the end.
func playSeed(t *testing.T, w *world, course *deviceCourse, seed uint64, total *deviceTally) {
	t.Helper()
	s := newStory(t, w, course, seed, total)
	s.live()
	s.finish()
	s.check()
	if *deviceSeed != 0 || len(s.broken) > 0 {
		t.Logf("what happened:\n%s", strings.Join(s.journal, "\n"))
	}
	if len(s.broken) > 0 {
		shape, _, _ := strings.Cut(strings.TrimPrefix(t.Name(), "TestTwoPhonesConverge/"), "/")
		t.Errorf("seed %d is broken in %d places:\n%s\nplay it again with: go test ./test/e2e -count=1 -run TestTwoPhonesConverge/%s -phones.seed=%d",
			seed, len(s.broken), strings.Join(s.broken[:min(len(s.broken), 12)], "\n"), shape, seed)
	}
}

// story is one learner's life with their phones.
type story struct {
	seed   uint64
	course *deviceCourse
	total  *deviceTally
	// base is the API's URL; learner is the learner's id.
	base, learner     string
	token, adminToken string
	// wire is the network without faults.
	wire    *http.Client
	book    *ledger
	devices []*device
	admin   *deviceAdmin
	// late are copies of requests that are still on their way.
	late sync.WaitGroup

	mu      sync.Mutex
	began   time.Time
	journal []string
	broken  []string
}

func newStory(t *testing.T, w *world, course *deviceCourse, seed uint64, total *deviceTally) *story {
	t.Helper()
	subject := fmt.Sprintf("phones-%d", seed)
	s := &story{
		seed: seed, course: course, total: total, base: w.base, began: testenv.Now(),
		token: w.token(t, subject), adminToken: w.token(t, "phones-admin", "admin"), learner: w.as(t, subject).id(),
		wire: &http.Client{Transport: course.wire, Timeout: patience},
	}
	s.book = newLedger(s)
	s.admin = newDeviceAdmin(s)
	dice := s.dice("story")
	devices := 2
	if dice.IntN(4) == 0 {
		devices = 3
	}
	for i := range devices {
		s.devices = append(s.devices, newDevice(s, fmt.Sprintf("phone-%d", i+1)))
	}
	return s
}

// source is a stream of random bits of its own for a part of the story, so that what one part
// draws changes nothing for another.
func (s *story) source(part string) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %s", s.seed, part)))
}

func (s *story) dice(part string) *rand.Rand { return rand.New(s.source(part)) }

// takenUp are the modules that the learner cares for, the same on all of their phones.
func (s *story) takenUp() []*courseModule {
	dice := s.dice("modules")
	modules := slices.Clone(s.course.modules)
	dice.Shuffle(len(modules), func(i, k int) { modules[i], modules[k] = modules[k], modules[i] })
	return modules[:2+dice.IntN(len(modules)-1)]
}

// notef writes the story down.
func (s *story) notef(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = append(s.journal, fmt.Sprintf("%7.1f ms  ", float64(testenv.Since(s.began).Microseconds())/1000)+fmt.Sprintf(format, args...))
}

// faultf notes something that must not be. Phones live in goroutines of their own, where a test
// cannot be ended; it goes on, and is reported as a whole.
func (s *story) faultf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.notef("BROKEN: %s", text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, text)
}

// live lets all devices live at the same time.
func (s *story) live() {
	var living sync.WaitGroup
	for _, p := range s.devices {
		living.Go(p.live)
	}
	living.Wait()
}

// finish ends all faults, and lets every device send and learn what is left.
func (s *story) finish() {
	s.notef("all faults end")
	for _, p := range s.devices {
		p.hangUp()
		p.network.calm.Store(true)
		p.offline.Store(false)
	}
	s.late.Wait()
	var finishing sync.WaitGroup
	for _, p := range s.devices {
		finishing.Go(p.flush)
	}
	finishing.Wait()
	if !s.devices[0].enroll() {
		s.faultf("the learner cannot be enrolled")
	}
	head := s.head()
	for _, p := range s.devices {
		finishing.Go(func() { p.catchUp(head) })
	}
	finishing.Wait()
}

// deviceTally counts what happened in all stories of a server.
type deviceTally struct {
	mu     sync.Mutex
	of     int
	seeds  int
	began  time.Time
	counts map[string]int
}

func newDeviceTally(of int) *deviceTally {
	return &deviceTally{of: of, began: testenv.Now(), counts: map[string]int{}}
}

func (c *deviceTally) add(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what] += n
}

// played counts a seed, and prints now and then how far a long run is.
func (c *deviceTally) played() {
	c.mu.Lock()
	c.seeds++
	report := c.of >= 50 && (c.seeds%50 == 0 || c.seeds == c.of)
	c.mu.Unlock()
	if report {
		fmt.Fprintln(os.Stderr, c)
	}
}

// String returns all counts in one line.
func (c *deviceTally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := []string{fmt.Sprintf("%d seeds in %v", c.seeds, testenv.Since(c.began).Round(10*time.Millisecond))}
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, c.counts[what]))
	}
	return strings.Join(parts, ", ")
}
