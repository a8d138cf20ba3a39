package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
)

// replayTool folds learners' logs again.
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
	return &cli.Command{
		Name:  "progress",
		Usage: "fold learners' logs again, to check or to correct what is stored of them",
		Commands: []*cli.Command{
			p.replayCommand(false, "verify", "report where what is stored differs from what the logs give; exit code 3 where it does", withoutServer+
				"Writes nothing. Exit codes: 0 no drift, 3 drift, 1 it failed, 2 usage."),
			p.replayCommand(true, "rebuild", "store what the logs give, also while the server works", withoutServer+
				"One that was cut off is continued. Exit codes: 0 done, 1 it failed, 2 usage."),
		},
	}
}

func (p Process) replayCommand(rebuild bool, name, usage, description string) *cli.Command {
	t := &replayTool{out: p.Stdout, rebuild: rebuild, remote: remote{
		process: p, subject: "preceptor-progress", role: auth.RoleAdmin, admits: "admin", needs: []string{server.Progress},
	}}
	flags := append(t.flags(), text("", "learner", "the id of the only learner to look at; all when not given", "", &t.learner),
		&cli.BoolFlag{Name: "json", Usage: "print each message as a line of JSON", Destination: &t.json})
	if rebuild {
		flags = append(flags, &cli.BoolFlag{Name: "restart", Usage: "begin anew, though one that was cut off could be continued", Destination: &t.restart})
	}
	return &cli.Command{
		Name: name, Usage: usage, Description: description, Flags: flags,
		Action: t.action(func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return t.run(ctx)
		}),
	}
}

// run replays, and prints what comes of it.
func (t *replayTool) run(ctx context.Context) error {
	out := bufio.NewWriterSize(t.out, 64<<10)
	s := newReplayScreen(t, out)
	err := t.replay(ctx, s.show)
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

// replay has the server replay the logs.
func (t *replayTool) replay(ctx context.Context, show func(*replayed) error) error {
	path, body := "/v1/progress:verify", map[string]any{"learnerId": t.learner}
	if t.rebuild {
		path, body["restart"] = "/v1/progress:rebuild", t.restart
	}
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, err := t.send(ctx, http.MethodPost, path, sent, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	finished := false
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			m, err := t.readLine(line)
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
			return fmt.Errorf("the server's response broke off; a rebuild goes on from there when it is run again: %w", err)
		}
	}
}

// readLine reads a line of the stream: a message, or the error that ended it.
func (t *replayTool) readLine(line []byte) (*replayed, error) {
	var l struct {
		Result json.RawMessage `json:"result"`
		Error  *problemText    `json:"error"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, fmt.Errorf("the server's response cannot be read: %w", err)
	}
	if l.Error != nil {
		return nil, t.fault(*l.Error)
	}
	m := new(replayed)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(l.Result, m); err != nil {
		return nil, fmt.Errorf("the server's response cannot be read: %w", err)
	}
	return m, nil
}

// replayScreen prints what a replay reports.
type replayScreen struct {
	tool     *replayTool
	out      *bufio.Writer
	terminal bool
	// began is when first, the first status, came; printed is when one was last printed.
	began, printed time.Time
	first, last    *progressv1.ReplayStatus
	drifts         map[progressv1.Drift_Kind]int
	// left are the drifts that no log entry explains, and so nothing corrects.
	left int
}

// printEvery is how often a line of progress is printed where there is no bar.
const printEvery = 10 * time.Second

func newReplayScreen(t *replayTool, out *bufio.Writer) *replayScreen {
	return &replayScreen{tool: t, out: out, terminal: isTerminal(t.process.Stderr), drifts: map[progressv1.Drift_Kind]int{}}
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
			s.first, s.began, s.printed = st, s.tool.process.Now(), s.tool.process.Now()
			if st.GetResumed() {
				fmt.Fprintf(s.tool.process.Stderr, "Going on from where an earlier one was cut off: %d of %d learners are done.\n",
					st.GetLearnersDone(), st.GetLearnersTotal())
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

// progress prints how far it is: a bar that is drawn again, or a line now and then.
func (s *replayScreen) progress() {
	took := s.tool.process.Now().Sub(s.began)
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
		fmt.Fprintf(s.tool.process.Stderr, "\r[%s%s] %s\x1b[K", strings.Repeat("#", full), strings.Repeat("-", width-full), text)
	case s.tool.process.Now().Sub(s.printed) >= printEvery:
		s.printed = s.tool.process.Now()
		fmt.Fprintln(s.tool.process.Stderr, text)
	}
}

// end clears the bar's line.
func (s *replayScreen) end() {
	if s.terminal && s.first != nil {
		fmt.Fprint(s.tool.process.Stderr, "\r\x1b[K")
	}
}

// summarize prints what came of it, beside the drifts; its error is the exit code.
func (s *replayScreen) summarize() error {
	total := 0
	for _, n := range s.drifts {
		total += n
	}
	verb := "drifted"
	if s.tool.rebuild {
		verb = "corrected"
	}
	fmt.Fprintf(s.tool.process.Stderr, "%d learners, %d log entries in %s; %d facts, %d enrollments and %d awards of %d learners %s",
		s.last.GetLearnersDone(), s.last.GetEntriesRead(), s.tool.process.Now().Sub(s.began).Round(time.Millisecond),
		s.drifts[progressv1.Drift_FACTS], s.drifts[progressv1.Drift_ENROLLMENT], s.drifts[progressv1.Drift_AWARD], s.last.GetLearnersDrifted(), verb)
	if s.left > 0 && s.tool.rebuild {
		fmt.Fprintf(s.tool.process.Stderr, ", of which %d stay as they are: no log entry explains them", s.left)
	}
	fmt.Fprintln(s.tool.process.Stderr)
	if total > 0 && !s.tool.rebuild {
		return exitError(exitDiffers)
	}
	return nil
}

// shorten returns what differs on one readable line: both texts from a little before where they part.
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
