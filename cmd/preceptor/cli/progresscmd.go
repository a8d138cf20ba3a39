package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
)

// replayTool folds learners' logs again: on a running server, or by itself where none runs.
type replayTool struct {
	remote

	out io.Writer
	// rebuild stores what the logs give; else they are only compared.
	rebuild bool

	// The flags.
	learner       string
	restart, json bool
}

func (p Process) progressCommand() *cli.Command {
	const either = "Talks to a running server, with the token of --token, --token-file or PRECEPTOR_TOKEN, else with one made with\n" +
		"the key in --data. Where no server answers and none has the folder of --data, it does the work itself.\n"
	return &cli.Command{
		Name:  "progress",
		Usage: "fold learners' logs again, to see or to mend what is stored of them",
		Commands: []*cli.Command{
			p.replayCommand(false, "verify", "say where what is stored is not what the logs give; exit code 3 when that is anywhere", either+
				"Writes nothing. Exit codes: 0 no drift, 3 drift, 1 it failed, 2 usage."),
			p.replayCommand(true, "rebuild", "store what the logs give, beside live traffic", either+
				"One that was cut off goes on from where it was. Exit codes: 0 done, 1 it failed, 2 usage."),
		},
	}
}

func (p Process) replayCommand(rebuild bool, name, usage, description string) *cli.Command {
	t := &replayTool{out: p.Stdout, rebuild: rebuild, remote: remote{now: p.Now,
		subject: "preceptor-progress", role: auth.RoleAdmin, admits: "admin", err: p.Stderr, // no timeout: it takes what it takes
	}}
	flags := append(t.flags(), text("", "learner", "the id of the only learner to look at; all when not said", "", &t.learner),
		&cli.BoolFlag{Name: "json", Usage: "print each message as a line of JSON", Destination: &t.json})
	if rebuild {
		flags = append(flags, &cli.BoolFlag{Name: "restart", Usage: "begin anew, though one that was cut off could go on", Destination: &t.restart})
	}
	return &cli.Command{
		Name: name, Usage: usage, Description: description, Flags: flags,
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return t.run(ctx)
		},
	}
}

// run replays, and prints what comes of it.
func (t *replayTool) run(ctx context.Context) error {
	out := bufio.NewWriterSize(t.out, 64<<10)
	s := newReplayScreen(t, out)
	err := t.overHTTP(ctx, s.show)
	if noServer(err) {
		err = t.inFolder(ctx, err, s.show)
	}
	s.end()
	if ferr := out.Flush(); err == nil && ferr != nil {
		err = ferr
	}
	if err != nil {
		return err
	}
	return s.summarize()
}

// replayed is one message of either replay: both have the same fields.
type replayed = progressv1.RebuildProgressResponse

// unreachableError is that there is no server to ask.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }

func noServer(err error) bool {
	_, none := errors.AsType[unreachableError](err)
	return none
}

// overHTTP has the server do it.
func (t *replayTool) overHTTP(ctx context.Context, show func(*replayed) error) error {
	if _, err := t.bearer(); err != nil {
		return unreachableError{err}
	}
	path, body := "/v1/progress:verify", map[string]any{"learnerId": t.learner}
	if t.rebuild {
		path, body["restart"] = "/v1/progress:rebuild", t.restart
	}
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, err := t.send(ctx, http.MethodPost, path, bytes.NewReader(sent), "application/json")
	if fault, ok := errors.AsType[*net.OpError](err); ok && fault.Op == "dial" {
		return unreachableError{err}
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	finished := false
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			m, err := readLine(line)
			if err != nil {
				return err
			}
			finished = finished || m.GetStatus().GetFinished()
			if err := show(m); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF) && finished:
			return nil
		case err != nil:
			return fmt.Errorf("the server's answer broke off; a rebuild goes on from there when it is asked for again: %w", err)
		}
	}
}

// readLine reads a line of the stream: a message, or the error that ended it.
func readLine(line []byte) (*replayed, error) {
	var l struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Detail string `json:"detail"`
		} `json:"error"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	if l.Error != nil {
		return nil, errors.New(l.Error.Detail)
	}
	m := new(replayed)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(l.Result, m); err != nil {
		return nil, fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	return m, nil
}

// replayScreen prints what a replay tells.
type replayScreen struct {
	tool     *replayTool
	out      *bufio.Writer
	terminal bool
	// began is when the first status came, of as much as first says; told is when one was last printed.
	began, told time.Time
	first, last *progressv1.ReplayStatus
	drifts      map[progressv1.Drift_Kind]int
	// left are the drifts that no log entry tells of, and so nothing mends.
	left int
}

// tellEvery is how often a line says how far it is where nobody sees a bar.
const tellEvery = 10 * time.Second

func newReplayScreen(t *replayTool, out *bufio.Writer) *replayScreen {
	return &replayScreen{tool: t, out: out, terminal: isTerminal(t.err), drifts: map[progressv1.Drift_Kind]int{}}
}

// show prints one message.
func (s *replayScreen) show(m *replayed) error {
	if d := m.GetDrift(); d != nil {
		s.drifts[d.GetKind()]++
		if d.GetKind() != progressv1.Drift_FACTS && d.GetReplayed() == "null" {
			s.left++
		}
	}
	if st := m.GetStatus(); st != nil {
		s.last = st
		if s.first == nil {
			s.first, s.began, s.told = st, s.tool.now(), s.tool.now()
			if st.GetResumed() {
				fmt.Fprintf(s.tool.err, "Going on from where an earlier one was cut off: %d of %d learners are done.\n", st.GetLearnersDone(), st.GetLearnersTotal())
			}
		}
	}
	if s.tool.json {
		return s.line(m)
	}
	if d := m.GetDrift(); d != nil {
		before, after := shorten(d.GetStored(), d.GetReplayed())
		fmt.Fprintf(s.out, "learner %s  %s %s: stored %s  replayed %s\n", d.GetLearnerId(), d.GetKind(), d.GetId(), before, after)
	}
	if m.GetStatus() != nil {
		s.progress()
		return s.out.Flush()
	}
	return nil
}

// line prints a message as the server's stream has it.
func (s *replayScreen) line(m proto.Message) error {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "{\"result\":%s}\n", line.Bytes())
	return err
}

// progress says how far it is: a bar that is drawn again, or a line now and then.
func (s *replayScreen) progress() {
	took := s.tool.now().Sub(s.began)
	done, total := s.last.GetLearnersDone(), max(s.last.GetLearnersTotal(), s.last.GetLearnersDone())
	percent := int64(100)
	if total > 0 {
		percent = 100 * done / total
	}
	text := fmt.Sprintf("%3d %%  %d of %d learners", percent, done, total)
	if fresh := done - s.first.GetLearnersDone(); took > 0 && fresh > 0 {
		rate := float64(s.last.GetEntriesRead()-s.first.GetEntriesRead()) / took.Seconds()
		left := time.Duration(float64(took) * float64(total-done) / float64(fresh)).Round(time.Second)
		text += fmt.Sprintf("  %.0f entries/s  %s left", rate, left)
	}
	const width = 24
	switch {
	case s.terminal:
		full := int(width * percent / 100)
		fmt.Fprintf(s.tool.err, "\r[%s%s] %s\x1b[K", strings.Repeat("#", full), strings.Repeat("-", width-full), text)
	case s.tool.now().Sub(s.told) >= tellEvery:
		s.told = s.tool.now()
		fmt.Fprintln(s.tool.err, text)
	}
}

// end leaves the bar's line.
func (s *replayScreen) end() {
	if s.terminal && s.first != nil {
		fmt.Fprint(s.tool.err, "\r\x1b[K")
	}
}

// summarize says what came of it, beside the drifts; its error is the exit code.
func (s *replayScreen) summarize() error {
	total := 0
	for _, n := range s.drifts {
		total += n
	}
	verb := "drifted"
	if s.tool.rebuild {
		verb = "mended"
	}
	fmt.Fprintf(s.tool.err, "%d learners, %d log entries in %s; %d facts, %d enrollments and %d awards of %d learners %s",
		s.last.GetLearnersDone(), s.last.GetEntriesRead(), s.tool.now().Sub(s.began).Round(time.Millisecond),
		s.drifts[progressv1.Drift_FACTS], s.drifts[progressv1.Drift_ENROLLMENT], s.drifts[progressv1.Drift_AWARD], s.last.GetLearnersDrifted(), verb)
	if s.left > 0 && s.tool.rebuild {
		fmt.Fprintf(s.tool.err, ", of which %d stay as they are: no log entry tells of them", s.left)
	}
	fmt.Fprintln(s.tool.err)
	if total > 0 && !s.tool.rebuild {
		return exitError(exitDiffers)
	}
	return nil
}

// shorten keeps what differs on one readable line: both texts from a little before where they part.
func shorten(stored, replayed string) (before, after string) {
	const around, most = 40, 120
	a, b := []rune(stored), []rune(replayed)
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	cut := func(text []rune) string {
		out := ""
		if from := same - around; from > 0 {
			out, text = "…", text[from:]
		}
		if len(text) > most {
			return out + string(text[:most]) + "…"
		}
		return out + string(text)
	}
	return cut(a), cut(b)
}
