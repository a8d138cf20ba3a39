package sqldb

import (
	"context"
	"database/sql"
	"time"
)

// Pages of the write-ahead log.
const (
	// writerCheckpointAt is how many there are when the writer copies them into the file. More of them mean fewer
	// copies, since a page is copied once however often it was written, and more to read after a crash; 4000
	// are some 16 MB.
	writerCheckpointAt = 4000
	// checkpointAt is how many there are when copying begins beside the writer, early enough to be done before.
	checkpointAt = 3000
	// checkpointLeast is how many are worth it.
	checkpointLeast = 200
)

const (
	// checkpointPause is how long others have the disk between two looks.
	checkpointPause = 20 * time.Millisecond
	// checkpointIdle is how long nothing is written before the rest is copied.
	checkpointIdle = time.Second
)

// checkpoints copy pages from SQLite's write-ahead log into the file, beside the writer, on a connection of
// their own. The writer copies too, within the commit that makes the log long, and everybody waits for it: what
// is copied before makes that short. Only the writer begins the log anew, since none may write meanwhile. So the
// log is as long as it would be without these, and what survives a crash is the same.
type checkpoints struct {
	conn  *sql.DB
	pause func(ctx context.Context, d time.Duration) error
	wrote chan struct{}
	stop  context.CancelFunc
	done  chan struct{}
}

func startCheckpoints(conn *sql.DB, pause func(ctx context.Context, d time.Duration) error) *checkpoints {
	ctx, stop := context.WithCancel(context.Background())
	c := &checkpoints{conn: conn, pause: pause, wrote: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.keepUp(ctx)
	}()
	return c
}

// written notes a commit.
func (c *checkpoints) written() {
	select {
	case c.wrote <- struct{}{}:
	default: // it is told already
	}
}

// close returns when no checkpoint runs any more.
func (c *checkpoints) close() error {
	c.stop()
	<-c.done
	return c.conn.Close()
}

func (c *checkpoints) keepUp(ctx context.Context) {
	idle := time.NewTimer(checkpointIdle)
	defer idle.Stop()
	for {
		at := checkpointAt
		select {
		case <-ctx.Done():
			return
		case <-c.wrote:
			idle.Reset(checkpointIdle)
		case <-idle.C:
			at = checkpointLeast
		}
		// What fails is left to the writer, which meets it where it matters.
		if log, copied, err := c.run(ctx, `NOOP`); err == nil && log >= at && log-copied >= checkpointLeast {
			_, _, _ = c.run(ctx, `PASSIVE`)
		}
		if c.pause(ctx, checkpointPause) != nil {
			return
		}
	}
}

// run runs a checkpoint of the mode, and returns how many pages there are and how many of them are in the file.
func (c *checkpoints) run(ctx context.Context, mode string) (log, copied int, err error) {
	var busy int
	err = c.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(`+mode+`)`).Scan(&busy, &log, &copied)
	return log, copied, err
}
